import Configuration
import Switching
import Testing

@Suite struct ReloadPlanTests {
  private let old = """
    {listeners:[{name:"a",bind:":1",blue:["x:1"],green:["y:1"]},{name:"b",bind:":2",blue:["x:1"],green:["y:1"]},
                {name:"c",bind:":3",preview:":4",blue:["x:1"],green:["y:1"]}]}
    """

  @Test func plan_isEmpty_whenNothingButTheActiveColorDiffers() throws {
    let before = try load(old)
    var after = before
    after.active = .green
    let plan = ReloadPlan(from: before, to: after)
    #expect(plan == ReloadPlan(from: before, to: before))
    #expect(plan.added + plan.removed + plan.changed + plan.atOnce + plan.needsRestart == [])
  }

  @Test func plan_namesListeners_whenTheyComeGoOrChange() throws {
    let before = try load(old)
    let after = try load(
      """
      {listeners:[{name:"d",bind:":2",blue:["x:1"],green:["y:1"]},{name:"c",bind:":3",blue:["x:1"],green:["y:1"]},
                  {name:"a",bind:":1",blue:["x:1"],green:["y:1"]}]}
      """)
    let plan = ReloadPlan(from: before, to: after)
    #expect(plan.added == ["d"])
    #expect(plan.removed == ["b"])
    #expect(plan.changed == ["c"])
  }

  @Test(
    arguments: [
      Change("bind") { $0.bind = .wildcard(port: 9) },
      Change("protocol") { $0.protocol = .http },
      Change("preview") { $0.preview = .wildcard(port: 9) },
      Change("blue") { $0.targets.blue.append(.host("z", port: 1)) },
      Change("green") { $0.targets.green = [.host("z", port: 1)] },
      Change("tcp") { $0.tcp.deferAccept = true }, Change("tcp.client") { $0.tcp.client.keepalive = 1000 },
      Change("health") { $0.health.rise = 9 }, Change("health.http") { $0.health.http = .off },
      Change("source") {
        let other = "{listeners:[{bind:':1',blue:['x:1'],green:['y:1'],source:['10.0.0.5']}]}"
        $0.source = (try? load(other).listeners[0].source) ?? []
      },
    ] as [Change<ListenerSettings>])
  func plan_callsAListenerChanged_whenAnythingButItsNameDiffers(
    _ change: Change<ListenerSettings>
  ) throws {
    let before = try load(old)
    var after = before
    change.apply(&after.listeners[1])
    #expect(ReloadPlan(from: before, to: after).changed == ["b"])
  }

  @Test(
    arguments: [
      Change("drain.timeout") { $0.drain.timeout += 1 }, Change("drain.spread") { $0.drain.spread += 1 },
      Change("timeouts.connect") { $0.timeouts.connect += 1 }, Change("timeouts.idle") { $0.timeouts.idle += 1 },
      Change("timeouts.halfClosed") { $0.timeouts.halfClosed += 1 },
      Change("timeouts.hold") { $0.timeouts.hold += 1 },
      Change("limits.sessions") { $0.limits.sessions += 1 }, Change("busyPoll") { $0.busyPoll = .microseconds(9) },
      Change("splice") { $0.splice = .auto }, Change("health.interval") { $0.health.interval += 1 },
      Change("health.timeout") { $0.health.timeout += 1 }, Change("health.rise") { $0.health.rise += 1 },
      Change("health.fall") { $0.health.fall += 1 }, Change("health.probe") { $0.health.probe = .off },
      Change("health.http") { $0.health.http = HTTPProbeSettings() }, Change("bake.time") { $0.bake.time += 1 },
      Change("bake.connectFailures") { $0.bake.connectFailures = nil }, Change("bake.resets") { $0.bake.resets = nil },
      Change("bake.serverErrors") { $0.bake.serverErrors = nil },
      Change("bake.firstByte") { $0.bake.firstByte = nil },
      Change("bake.minimumClients") { $0.bake.minimumClients += 1 },
      Change("bake.minimumSamples") { $0.bake.minimumSamples += 1 },
      Change("checks.before") { $0.checks.before = ["a"] }, Change("checks.after") { $0.checks.after = ["a"] },
    ] as [Change<Settings>])
  func plan_namesWhatTakesEffectAtOnce(_ change: Change<Settings>) throws {
    let before = try load(old)
    var after = before
    change.apply(&after)
    let plan = ReloadPlan(from: before, to: after)
    #expect(plan.atOnce == change.texts)
    #expect(plan.needsRestart == [])
  }

  @Test(
    arguments: [
      Change("workers") { $0.workers += 1 }, Change("stateFile") { $0.stateFile += "x" },
      Change("admin.socket") { $0.admin.socket += "x" }, Change("admin.mode") { $0.admin.mode = 0o600 },
      Change("admin.group") { $0.admin.group = "ops" },
    ] as [Change<Settings>])
  func plan_namesWhatNeedsARestart(_ change: Change<Settings>) throws {
    let before = try load(old)
    var after = before
    change.apply(&after)
    let plan = ReloadPlan(from: before, to: after)
    #expect(plan.needsRestart == change.texts)
    #expect(plan.atOnce == [])
  }
}

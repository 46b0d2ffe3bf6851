import Switching
import Testing

@Suite struct SwitchMachineTests {
  private let blue = PairState(active: .blue, previous: nil, generation: 6)
  private let green = PairState(active: .green, previous: .blue, generation: 7)

  @Test func switch_isWrittenStoredAndConfirmed_inThisOrder() {
    var machine = SwitchMachine(blue)
    #expect(machine.begin(.switchTo(.green, expect: .blue)) == .persist(green))
    #expect(machine.state == blue && !machine.isIdle)
    #expect(machine.advance(.persisted) == .store(green))
    #expect(machine.state == blue, "the old color serves until the word is stored")
    #expect(machine.advance(.stored) == .barrier)
    #expect(machine.state == green)
    #expect(machine.advance(.confirmed) == .done(green))
    #expect(machine.isIdle)
  }

  @Test func switch_isRefusedAndForgotten_whenItCannotBeWritten() {
    var machine = SwitchMachine(blue)
    _ = machine.begin(.switchTo(.green, expect: nil))
    #expect(machine.advance(.notPersisted("no space")) == .refused(.notPersisted("no space")))
    #expect(machine == SwitchMachine(blue))
  }

  @Test func switch_isRefused_whenAnotherColorIsActiveThanExpected() {
    var machine = SwitchMachine(blue)
    let refusal = SwitchMachine.Refusal.unexpected(active: .blue, expected: .green)
    #expect(machine.begin(.switchTo(.green, expect: .green)) == .refused(refusal))
    #expect(machine.begin(.switchTo(.blue, expect: .green)) == .refused(refusal), "even where nothing would change")
    #expect(machine == SwitchMachine(blue))
  }

  @Test func switch_changesNothing_whenTheColorIsActive() {
    var machine = SwitchMachine(green)
    #expect(machine.begin(.switchTo(.green, expect: .green)) == .unchanged(green))
    #expect(machine == SwitchMachine(green))
  }

  @Test(arguments: [SwitchMachine.Event.persisted, .notPersisted("no space")])
  func rollback_isStoredFirst_whateverTheDiskSays(outcome: SwitchMachine.Event) {
    var machine = SwitchMachine(green)
    let back = PairState(active: .blue, previous: nil, generation: 8)
    #expect(machine.begin(.rollback) == .store(back))
    #expect(machine.advance(.stored) == .barrier)
    #expect(machine.advance(.confirmed) == .persist(back))
    #expect(machine.advance(outcome) == .done(back))
    #expect(machine.begin(.rollback) == .unchanged(back), "there is no second way back")
    #expect(machine == SwitchMachine(back))
  }

  @Test func rollback_leadsToTheColorBefore_whenSwitchedTwice() {
    var machine = SwitchMachine(green)
    for event in [SwitchMachine.Event.persisted, .stored, .confirmed] {
      if machine.isIdle { _ = machine.begin(.switchTo(.blue, expect: nil)) }
      _ = machine.advance(event)
    }
    #expect(machine.state == PairState(active: .blue, previous: .green, generation: 8))
    #expect(machine.preview(.rollback) == .store(PairState(active: .green, previous: nil, generation: 9)))
  }

  @Test func stop_letsTheSwitchUnderWayEnd_andRefusesTheNext() {
    var machine = SwitchMachine(blue)
    _ = machine.begin(.switchTo(.green, expect: nil))
    machine.stop()
    #expect(machine.advance(.persisted) == .store(green))
    #expect(machine.advance(.stored) == .barrier)
    #expect(machine.advance(.confirmed) == .done(green))
    for request in [SwitchMachine.Request.rollback, .switchTo(.blue, expect: nil), .switchTo(.green, expect: nil)] {
      #expect(machine.begin(request) == .refused(.stopping))
    }
    #expect(machine.state == green && machine.isIdle)
  }

  // MARK: Holding

  @Test func pause_holdsOnce_andResumeReleasesOnce() {
    var machine = SwitchMachine(blue)
    #expect(machine.begin(.resume) == .unchanged(blue), "there is nothing to resume")
    #expect(machine.begin(.pause) == .hold)
    #expect(machine.advance(.held) == .done(blue))
    #expect(machine.isPaused && machine.holds && machine.isIdle)
    #expect(machine.begin(.pause) == .unchanged(blue))
    #expect(machine.begin(.resume) == .release)
    #expect(machine.holds, "held until the word says otherwise")
    #expect(machine.advance(.released) == .done(blue))
    #expect(machine == SwitchMachine(blue))
  }

  @Test func switch_leavesAPauseInForce() {
    var machine = SwitchMachine(blue)
    _ = machine.begin(.pause)
    _ = machine.advance(.held)
    #expect(machine.begin(.switchTo(.green, expect: nil)) == .persist(green))
    #expect(machine.advance(.persisted) == .store(green))
    #expect(machine.advance(.stored) == .barrier)
    #expect(machine.advance(.confirmed) == .done(green))
    #expect(machine.isPaused && machine.state == green)
  }

  @Test func handover_holdsWaitsSwitchesAndReleases_inThisOrder() {
    var machine = SwitchMachine(blue)
    #expect(machine.begin(.handover(.green, expect: .blue)) == .hold)
    #expect(machine.awaitedHandover == nil && !machine.mayBegin)
    #expect(machine.advance(.held) == .awaitQuiet(green))
    #expect(machine.awaitedHandover == .green && machine.mayBegin && !machine.isPaused)
    #expect(machine.state == blue)
    #expect(machine.advance(.quiet) == .persist(green))
    #expect(machine.advance(.persisted) == .store(green))
    #expect(machine.advance(.stored) == .barrier)
    #expect(machine.holds)
    #expect(machine.advance(.confirmed) == .release)
    #expect(machine.advance(.released) == .done(green))
    #expect(machine == SwitchMachine(green))
  }

  @Test func handoverThatWaits_isGivenUpByARollback_andRefusesAllElse() {
    var machine = SwitchMachine(green)
    _ = machine.begin(.handover(.blue, expect: nil))
    _ = machine.advance(.held)
    let waiting = machine
    for request in [
      SwitchMachine.Request.switchTo(.blue, expect: nil), .switchTo(.green, expect: nil), .pause, .resume,
      .handover(.blue, expect: nil),
    ] {
      #expect(machine.begin(request) == .refused(.handoverUnderWay(to: .blue)))
    }
    #expect(machine.begin(.rollback) == .giveUpHandover)
    #expect(machine == waiting)
    #expect(machine.advance(.givenUp("rolled back")) == .release)
    #expect(machine.advance(.released) == .refused(.givenUp("rolled back")))
    #expect(machine == SwitchMachine(green), "the way back of the switch before it is still open")
  }

  @Test func handover_isReleasedAndRefused_whenItCannotBeWritten() {
    var machine = SwitchMachine(blue)
    _ = machine.begin(.handover(.green, expect: nil))
    _ = machine.advance(.held)
    _ = machine.advance(.quiet)
    #expect(machine.advance(.notPersisted("no space")) == .release)
    #expect(machine.advance(.released) == .refused(.notPersisted("no space")))
    #expect(machine == SwitchMachine(blue))
  }

  @Test func handover_isRefused_whereItWouldNotHoldByItself() {
    var machine = SwitchMachine(blue)
    #expect(machine.begin(.handover(.blue, expect: nil)) == .unchanged(blue))
    _ = machine.begin(.pause)
    _ = machine.advance(.held)
    #expect(machine.begin(.handover(.green, expect: nil)) == .refused(.paused))
    machine.stop()
    #expect(machine.begin(.pause) == .refused(.stopping))
    #expect(machine.begin(.resume) == .release, "a front door that stops lets everybody go")
  }
}

import Switching
import Testing

@Suite struct VerdictTests {
  private let limits = Limits(
    connectFailures: 0.01, resets: 0.05, serverErrors: 0.05, firstByte: 4, minimumClients: 3, minimumSamples: 20)

  private func crossed(
    _ figures: Figures, since baseline: Baseline = Baseline(), clients: Int = 3, dead: Int = 0, _ limits: Limits? = nil
  ) -> [Signal] {
    readings(
      of: figures, since: baseline, clients: { _ in clients }, deadListeners: dead, limits: limits ?? self.limits
    ).filter(\.isCrossed).map(\.signal)
  }

  @Test func nothing_isCrossed_whereNothingHappens() { #expect(crossed(Figures()) == []) }

  @Test func deadColor_countsAtOnce() { #expect(crossed(Figures(), clients: 0, dead: 1) == [.health]) }

  @Test func share_countsFromEnoughSamples_andBeyondItsLimit() {
    var figures = Figures()
    (figures.connects, figures.connectFailures) = (19, 18)
    #expect(crossed(figures) == [], "too few")
    (figures.connects, figures.connectFailures) = (4, 4)
    #expect(crossed(figures) == [], "too few, though all")
    (figures.connects, figures.connectFailures) = (5, 5)
    #expect(crossed(figures) == [.connectFailures], "all of a few")
    (figures.connects, figures.connectFailures) = (100, 1)
    #expect(crossed(figures) == [], "the limit itself is allowed")
    figures.connectFailures = 2
    #expect(crossed(figures, clients: 0) == [.connectFailures], "no client can cause it")
  }

  @Test func whatClientsCanCause_countsFromEnoughOfThem() {
    var figures = Figures()
    (figures.begun, figures.resets, figures.answers, figures.serverErrors) = (100, 50, 100, 50)
    #expect(crossed(figures, clients: 2) == [])
    #expect(crossed(figures, clients: 3) == [.resets, .serverErrors])
  }

  @Test func limits_areAboveWhatTheOldColorWasLike() {
    var old = Figures()
    (old.answers, old.serverErrors) = (1000, 100)
    var figures = Figures()
    (figures.answers, figures.serverErrors) = (1000, 149)
    #expect(crossed(figures, since: Baseline(figures: old)) == [])
    figures.serverErrors = 151
    #expect(crossed(figures, since: Baseline(figures: old)) == [.serverErrors])
    (old.answers, old.serverErrors) = (2, 2)
    #expect(crossed(figures, since: Baseline(figures: old)) == [.serverErrors], "two answers are no measure")
  }

  @Test func firstByte_isLateBesideTheOldColor_butNeverBelowATenthOfASecond() {
    #expect(limits.lateness(after: Baseline(firstByte: 50_000)) == 200_000)
    #expect(limits.lateness(after: Baseline(firstByte: 20)) == Limits.leastLateness)
    #expect(limits.lateness(after: Baseline()) == nil, "nobody knows what is usual")
    var figures = Figures()
    (figures.firstBytes, figures.lateFirstBytes) = (100, 11)
    #expect(crossed(figures, since: Baseline(firstByte: 1)) == [.firstByte])
    #expect(crossed(figures) == [])
    #expect(crossed(figures, since: Baseline(firstByte: 1, waiting: 0.05)) == [], "some clients poll")
    figures.lateFirstBytes = 10
    #expect(crossed(figures, since: Baseline(firstByte: 1)) == [], "one in ten may be late")
  }

  @Test func signalThatIsOff_isNotRead() {
    var figures = Figures()
    (figures.begun, figures.resets, figures.answers, figures.serverErrors) = (100, 100, 100, 100)
    (figures.connects, figures.connectFailures) = (100, 100)
    let none = Limits(
      connectFailures: nil, resets: nil, serverErrors: nil, firstByte: nil, minimumClients: 1, minimumSamples: 1)
    #expect(crossed(figures, since: Baseline(firstByte: 1), none) == [])
  }
}

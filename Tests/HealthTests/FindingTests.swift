import Health
import LinuxIO
import Testing

@Suite struct FindingTests {
  @Test(
    arguments: [
      (.connected, "connected"), (.status(204), "204"), (.noAddress, "has no address at present"),
      (.failed(.connectionRefused), "connection refused"), (.failed(.noSuchFile), "no such file or directory"),
      (.noAnswer(1000), "no answer within 1s"), (.noAnswer(1500), "no answer within 1500ms"),
      (.noWholeAnswer(2000), "no whole answer within 2s"), (.backlogFull(1000), "the backlog was full for 1s"),
      (.closedEarly, "the connection was closed before an answer"), (.notHTTP, "the answer is not HTTP/1"),
      (.headTooLong, "the head of the answer is longer than 16 KiB"),
      (.unexpectedStatus(503, expected: [200...399]), "expected status 200-399, got 503"),
      (
        .unexpectedStatus(500, expected: [200...200, 204...204, 300...399]), "expected status 200,204,300-399, got 500"
      ),
      (.textMissing("ok"), "the body does not contain \"ok\""), (.brokenBody, "the chunks of the body are broken"),
    ] as [(Finding, String)])
  func text_isForPeople(_ finding: Finding, _ text: String) { #expect(finding.text == text) }

  @Test func sentence_namesTheTarget() {
    #expect(Finding.failed(.connectionRefused).sentence(about: "a:1") == "a:1 refused the connection")
    #expect(Finding.noAddress.sentence(about: "a:1") == "a:1 has no address at present")
    #expect(Finding.noAnswer(1000).sentence(about: "a:1") == "a:1: no answer within 1s")
  }
}

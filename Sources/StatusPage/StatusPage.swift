/// The page that shows people what a front door does. It is one document without any outside resource; what it shows it
/// asks for at `/v1/status` and `/v1/history` of the address that it came from.
public enum StatusPage {
  /// The page for one answer.
  public struct Document: Sendable {
    public let body: [UInt8]
    /// The value of Content-Security-Policy (CSP Level 3): nothing but this document's own style and script, and requests
    /// to where it came from.
    public let policy: String
  }

  /// - Parameter nonce: of letters and digits, another one each time: it names the style and the script that may be used.
  public static func document(nonce: String) -> Document {
    let policy =
      "default-src 'none'; style-src 'nonce-\(nonce)'; script-src 'nonce-\(nonce)'; connect-src 'self'; img-src data:; "
      + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return Document(body: Array(pieces.joined(separator: nonce.utf8)), policy: policy)
  }

  /// The document, cut where a nonce belongs: put together once, since anybody may ask for it as often as they like.
  private static let pieces: [[UInt8]] = {
    var pieces: [[UInt8]] = [[]]
    for (index, part) in parts.enumerated() {
      switch (index % 2 == 0, part) {
      case (true, _): pieces[pieces.count - 1] += part.utf8
      case (_, "nonce"): pieces.append([])
      case (_, "style"): pieces[pieces.count - 1] += PackageResources.page_css
      case (_, "script"): pieces[pieces.count - 1] += PackageResources.chart_js + PackageResources.page_js
      default: pieces[pieces.count - 1] += "{{\(part)}}".utf8
      }
    }
    return pieces
  }()

  /// The document as it stands in `page.html`: text, and at each second place the name of what is put in there.
  private static let parts: [Substring] = {
    var parts: [Substring] = []
    var rest = Substring(String(decoding: PackageResources.page_html, as: UTF8.self))
    while let opening = rest.firstRange(of: "{{"), let closing = rest[opening.upperBound...].firstRange(of: "}}") {
      parts += [rest[..<opening.lowerBound], rest[opening.upperBound..<closing.lowerBound]]
      rest = rest[closing.upperBound...]
    }
    return parts + [rest]
  }()
}

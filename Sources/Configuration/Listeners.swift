import Switching

let mostListeners = 64
private let mostTargets = 64
private let mostSources = 64

/// A listener as the file or the command line describes it, before its texts are read.
struct ListenerDraft {
  let name: SourcedText
  let bind: SourcedText
  let `protocol`: ListenerProtocol
  let preview: SourcedText?
  let targets: ByColor<[SourcedText]>
  var source: [SourcedText] = []
  var tcp = TCPSettings()
  var health = HealthOverrides()

  /// nil where the command line describes no listener.
  init?(_ overrides: Overrides) throws(SettingsError) {
    func text(_ value: String, _ option: String) -> SourcedText {
      SourcedText(value: value, origin: Origin(option: option))
    }
    `protocol` =
      try overrides.protocol.map { name throws(SettingsError) in
        try parsedProtocol(text(name, "--protocol"))
      } ?? .tcp
    guard let listen = overrides.listen else {
      let used = [
        ("--blue", !overrides.blue.isEmpty), ("--green", !overrides.green.isEmpty),
        ("--preview", overrides.preview != nil), ("--protocol", overrides.protocol != nil),
      ]
      if let (option, _) = used.first(where: \.1) {
        throw Origin(option: option).error(expected: "--listen beside it", found: "none")
      }
      return nil
    }
    for (option, texts) in [("--blue", overrides.blue), ("--green", overrides.green)] {
      guard (1...mostTargets).contains(texts.count) else {
        throw Origin(option: option).error(
          expected: "1 to \(mostTargets) targets to go with --listen", found: texts.isEmpty ? "none" : "\(texts.count)")
      }
    }
    name = text(defaultName(0), "--listen")
    bind = text(listen, "--listen")
    preview = overrides.preview.map { text($0, "--preview") }
    targets = ByColor(
      blue: overrides.blue.map { text($0, "--blue") }, green: overrides.green.map { text($0, "--green") })
  }

  fileprivate init(_ cursor: Cursor, index: Int) throws(SettingsError) {
    let members = try cursor.object(ListenerSettings.CodingKeys.self, planned: Planned.listener)
    `protocol` =
      try members[.protocol].map { cursor throws(SettingsError) in
        try parsedProtocol(try cursor.text(expectedProtocol))
      } ?? .tcp
    name =
      try members[.name].map { cursor throws(SettingsError) in try cursor.text("a name") }
      ?? SourcedText(value: defaultName(index), origin: cursor.origin)
    guard let address = members[.bind] else { throw members.missing(.bind, expected: "an address to listen at") }
    bind = try address.text("an address")
    preview = try members[.preview].map { cursor throws(SettingsError) in try cursor.text("an address") }
    func texts(_ key: ListenerSettings.CodingKeys) throws(SettingsError) -> [SourcedText] {
      guard let list = members[key] else {
        throw members.missing(key, expected: "an array of 1 to \(mostTargets) targets")
      }
      var texts: [SourcedText] = []
      for target in try list.array(of: "targets", atMost: mostTargets) { texts.append(try target.text("an address")) }
      return texts
    }
    targets = ByColor(blue: try texts(.blue), green: try texts(.green))
    for address in try members[.source]?.array(of: "addresses", atMost: mostSources) ?? [] {
      source.append(try address.text("an address"))
    }
    if let value = members[.tcp] { try tcp.read(value) }
    if let value = members[.health] { health = try HealthOverrides(value, of: `protocol`) }
  }
}

/// The listeners of the file.
func readListeners(_ cursor: Cursor) throws(SettingsError) -> [ListenerSettings] {
  var drafts: [ListenerDraft] = []
  for (index, each) in try cursor.array(of: "listeners", atMost: mostListeners).enumerated() {
    drafts.append(try ListenerDraft(each, index: index))
  }
  return try validated(drafts)
}

/// Reads the texts, and checks what no listener can know of another.
func validated(_ drafts: [ListenerDraft]) throws(SettingsError) -> [ListenerSettings] {
  var names: [String: Origin] = [:]
  var taken: [(address: Address, origin: Origin)] = []
  var listeners: [ListenerSettings] = []

  func listeningAddress(_ text: SourcedText) throws(SettingsError) -> Address {
    let address = try parsed(text, for: .listening)
    if let other = taken.first(where: { $0.address.collides(with: address) }) {
      throw text.origin.error(
        expected: "an address of its own", found: "\(address), which \(other.origin.asReference) takes")
    }
    taken.append((address, text.origin))
    return address
  }

  for draft in drafts {
    let name = draft.name.value
    guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ isWord($0) || $0 == UInt8(ascii: ".") }) else {
      throw draft.name.origin.error(expected: "a name of 1 to 64 of A-Z a-z 0-9 . _ -", found: quoted(name))
    }
    if let other = names.updateValue(draft.name.origin, forKey: name) {
      throw draft.name.origin.error(
        expected: "a name of its own", found: "\(quoted(name)), which \(other.asReference) has")
    }
    let bind = try listeningAddress(draft.bind)
    var preview: Address?
    if let text = draft.preview { preview = try listeningAddress(text) }
    var targets = ByColor<[Address]>(both: [])
    for color in Color.allCases {
      for text in draft.targets[color] {
        let target = try parsed(text, for: .connecting)
        guard !targets[color].contains(target) else {
          throw text.origin.error(expected: "each target once", found: "\(target) again")
        }
        guard target != bind, target != preview else {
          throw text.origin.error(expected: "a target", found: "\(target), where the listener itself listens")
        }
        targets[color].append(target)
      }
    }
    listeners.append(
      ListenerSettings(
        name: name, bind: bind, protocol: draft.protocol, preview: preview, targets: targets,
        source: try sources(draft.source, for: targets.blue + targets.green), tcp: draft.tcp,
        health: draft.health))
  }
  return listeners
}

func parsed(_ text: SourcedText, for use: Address.Use) throws(SettingsError) -> Address {
  do { return try Address(text.value, for: use) } catch { throw text.origin.error(error.description) }
}

private func sources(_ texts: [SourcedText], for targets: [Address]) throws(SettingsError) -> [SourceAddress] {
  var sources: [SourceAddress] = []
  for text in texts {
    guard let source = SourceAddress(text.value) else {
      throw text.origin.error(
        expected: "an IPv4 or IPv6 address of this machine, without a port", found: quoted(text.value))
    }
    guard !sources.contains(where: { $0.means(source) }) else {
      throw text.origin.error(expected: "each address once", found: "\(source.text) again")
    }
    guard targets.contains(where: source.mayReach) else {
      let family = source.isIPv6 ? "IPv6" : "IPv4"
      throw text.origin.error(
        expected: "an address of a family that a target has", found: "\(source.text), and no target has \(family)")
    }
    sources.append(source)
  }
  return sources
}

private let expectedProtocol = "\"tcp\" or \"http\""

private func parsedProtocol(_ text: SourcedText) throws(SettingsError) -> ListenerProtocol {
  guard let known = ListenerProtocol(rawValue: text.value) else {
    throw text.origin.error(expected: expectedProtocol, found: quoted(text.value))
  }
  return known
}

private func defaultName(_ index: Int) -> String { index == 0 ? "main" : "listener-\(index + 1)" }

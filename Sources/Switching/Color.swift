/// One of the two environments. There are exactly two.
public enum Color: String, Codable, Sendable, Hashable, CaseIterable {
  case blue, green

  @inlinable
  public var other: Color { self == .blue ? .green : .blue }
}

/// One value for each color.
public struct ByColor<Value> {
  public var blue: Value
  public var green: Value

  @inlinable
  public init(blue: Value, green: Value) { (self.blue, self.green) = (blue, green) }

  @inlinable
  public init(both value: Value) { (blue, green) = (value, value) }

  @inlinable
  public subscript(color: Color) -> Value {
    get { color == .blue ? blue : green }
    _modify { if color == .blue { yield &blue } else { yield &green } }
  }
}

extension ByColor: Sendable where Value: Sendable {}
extension ByColor: Equatable where Value: Equatable {}
extension ByColor: Encodable where Value: Encodable {}
extension ByColor: Decodable where Value: Decodable {}

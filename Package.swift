// swift-tools-version: 6.2
import PackageDescription

/// Each target is one room of the house (docs/architecture.md); it imports only rooms below it.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .strictMemorySafety(),
  // An async function runs where its caller runs; nothing hops to threads of the runtime.
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ subject: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: subject + "Tests", dependencies: [.byName(name: subject)] + dependencies, swiftSettings: settings)
}

let package = Package(
  name: "bgproxy",
  products: [
    .executable(name: "bgproxy", targets: ["bgproxy"]),
    .executable(name: "bgproxyctl", targets: ["bgproxyctl"]),
  ],
  targets: [
    .target(name: "CLinux"),
    room("LinuxIO", ["CLinux"]),
    room("EventCore", ["LinuxIO"]),
    room("HTTPFraming"),
    room("Arguments"),
    room("Switching"),
    room("Configuration", ["Switching", "LinuxIO", "Arguments"]),
    room("Telemetry", ["LinuxIO"]),
    .target(
      name: "StatusPage",
      resources: ["page.html", "page.css", "chart.js", "page.js"].map { .embedInCode($0) },
      swiftSettings: settings),
    room("Relay", ["EventCore", "HTTPFraming", "Switching", "Telemetry", "LinuxIO"]),
    room("Health", ["EventCore", "HTTPFraming", "LinuxIO"]),
    room("Admin", ["Arguments", "EventCore", "HTTPFraming", "Switching", "LinuxIO"]),
    room(
      "FrontDoor",
      [
        "Arguments", "Relay", "Health", "Admin", "Configuration", "StatusPage", "Telemetry", "Switching", "EventCore",
        "LinuxIO",
      ]),
    .executableTarget(
      name: "bgproxy",
      dependencies: ["FrontDoor", "Arguments", "Configuration", "Telemetry", "Switching", "LinuxIO"],
      swiftSettings: settings),
    .executableTarget(
      name: "bgproxyctl", dependencies: ["Admin", "Arguments", "Switching", "LinuxIO"], swiftSettings: settings),
    // Not installed with the products. The C target replaces malloc(3) in this one program.
    .target(name: "AllocationCount", path: "Benchmarks/AllocationCount"),
    .executableTarget(
      name: "MicroBenchmarks", dependencies: ["AllocationCount", "EventCore", "HTTPFraming", "LinuxIO"],
      path: "Benchmarks/Micro", swiftSettings: settings),
    tests("LinuxIO", ["CLinux"]),
    tests("EventCore"),
    tests("HTTPFraming"),
    tests("Arguments"),
    tests("Switching", ["LinuxIO"]),
    tests("Configuration", ["Arguments"]),
    tests("Telemetry"),
    tests("Health"),
    tests("Admin"),
    tests("FrontDoor"),
    tests("bgproxy", ["Arguments"]),
    tests("bgproxyctl", ["Admin", "Arguments", "Switching"]),
  ]
)

import Glibc
import LinuxIO

// A reader that leaves is an error value, not the end of the process: the exit code is still the verb's.
Process.ignoreBrokenPipe()
exit(Tool.run(Array(CommandLine.arguments.dropFirst())).rawValue)

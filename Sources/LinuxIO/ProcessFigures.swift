import Glibc

/// What this process uses at present, for its metrics. Reads /proc, proc(5), which never waits for a disk.
public struct ProcessFigures: Sendable {
  /// Of all threads, in user and kernel mode.
  public let cpuSeconds: Double
  /// nil where /proc is not there.
  public let residentBytes: Int?
  public let virtualBytes: Int?
  public let openDescriptors: Int?

  public static func now() -> ProcessFigures {
    let time = clock(CLOCK_PROCESS_CPUTIME_ID)
    // Pages: size, resident, shared, …
    let pages = ((try? DurableFile.read("/proc/self/statm", limit: 256)) ?? nil).map { bytes in
      String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    }
    let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
    func bytes(_ field: Int) -> Int? {
      guard let pages, pages.count > field else { return nil }
      return pages[field] * pageSize
    }
    return ProcessFigures(
      cpuSeconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, residentBytes: bytes(1), virtualBytes: bytes(0),
      openDescriptors: descriptors())
  }

  /// Nanoseconds that the calling thread has used, in user and kernel mode.
  public static func threadNanoseconds() -> UInt64 {
    let time = clock(CLOCK_THREAD_CPUTIME_ID)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  private static func clock(_ id: clockid_t) -> timespec {
    var time = timespec()
    unsafe clock_gettime(id, &time)
    return time
  }

  /// Linux 6.2 and later answers with the size of the folder; before, its entries are counted.
  private static func descriptors() -> Int? {
    var status = stat()
    guard unsafe stat("/proc/self/fd", &status) == 0 else { return nil }
    if status.st_size > 0 { return Int(status.st_size) }
    guard let folder = unsafe opendir("/proc/self/fd") else { return nil }
    defer { unsafe closedir(folder) }
    var count = 0
    while unsafe readdir(folder) != nil { count += 1 }
    // Without `.`, `..` and the folder's own descriptor.
    return max(0, count - 3)
  }
}

#include "tests/integration/loop_mount.h"

#include <fcntl.h>
#include <linux/types.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "server/base/check.h"
#include "tests/integration/test_util.h"
#include "tests/support/process.h"

namespace kvorum::testing {
namespace {

constexpr char kImageSize[] = "512M";  // sparse; xfs wants 300 MB at least

// linux/fs/xfs/libxfs/xfs_fs.h: XFS_IOC_GOINGDOWN; fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN.
constexpr auto kShutdownIoctl = _IOR('X', 125, __u32);
constexpr __u32 kWithoutFlushingTheLog = 2;

void RunOrDie(const std::vector<std::string>& argv) {
  const CommandResult result = RunCommand(argv);
  KVORUM_CHECK(result.exit_code == 0, "{} exited with {}: {}", argv[0], result.exit_code,
               result.output);
}

}  // namespace

LoopMount::LoopMount(std::string type, std::string base)
    : type_(std::move(type)), base_(std::move(base)) {
  std::filesystem::create_directories(base_);
  RunOrDie({"truncate", "--size", kImageSize, base_ + ".img"});
  RunOrDie({"mkfs." + type_, "-q", base_ + ".img"});
  Mount();
}

LoopMount::~LoopMount() { ::umount2(base_.c_str(), MNT_DETACH); }

void LoopMount::Mount() { RunOrDie({"mount", "-t", type_, "-o", "loop", base_ + ".img", base_}); }

void LoopMount::Unmount() {
  // The kernel may take a moment to drop what a killed process had open.
  const bool unmounted = Eventually([&] { return ::umount(base_.c_str()) == 0; });
  KVORUM_CHECK(unmounted, "umount {}: {}", base_, std::strerror(errno));
}

void LoopMount::CutPower() {
  const int fd = ::open(base_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  KVORUM_CHECK(fd >= 0, "open {}: {}", base_, std::strerror(errno));
  __u32 flags = kWithoutFlushingTheLog;
  const int result = ::ioctl(fd, kShutdownIoctl, &flags);
  KVORUM_CHECK(result == 0, "shut {} down: {}", base_, std::strerror(errno));
  ::close(fd);
}

void LoopMount::Remount() {
  Unmount();
  Mount();
}

std::optional<std::string> WhyNoLoopMounts() {
  if (::geteuid() != 0) {
    return "only root may mount file systems";
  }
  for (const char* tool : {"mkfs.ext4", "mkfs.xfs", "mount"}) {
    if (RunCommand({"sh", "-c", std::string("command -v ") + tool}).exit_code != 0) {
      return std::string(tool) + " is not installed; deploy/install-deps.sh --test does it";
    }
  }
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return std::string("no mount namespace of its own: ") + std::strerror(errno);
  }
  const TemporaryDirectory probe("kvorum-loop-mount");
  const std::string image = probe.path() + "/probe.img";
  for (const char* type : {"ext4", "xfs"}) {
    const CommandResult result =
        RunCommand({"sh", "-c",
                    "rm -f \"$1\" && truncate --size 512M \"$1\" && mkfs.$2 -q \"$1\" && "
                    "mkdir -p \"$1.d\" && mount -t $2 -o loop \"$1\" \"$1.d\" && umount \"$1.d\"",
                    "sh", image, type});
    if (result.exit_code != 0) {
      return std::string("no loop mount of ") + type + ": " + result.output;
    }
  }
  return std::nullopt;
}

}  // namespace kvorum::testing

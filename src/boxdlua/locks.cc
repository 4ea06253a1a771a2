// The one file in C++: only there can gRPC's locks be configured. Debian
// builds them so that each look at one is checked for cycles with all others,
// which is for debugging gRPC and costs a call 6 % of its instructions.
#include <absl/synchronization/mutex.h>

extern "C" void host_plain_locks(void) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

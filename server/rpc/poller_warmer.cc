#include "server/rpc/poller_warmer.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <pthread.h>

#include <future>

namespace kvorum::rpc {
namespace {

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

}  // namespace

PollerWarmer::PollerWarmer(grpc::Server& server)
    : stub_(server.InProcessChannel(grpc::ChannelArguments())), thread_([this] { Run(); }) {}

PollerWarmer::~PollerWarmer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  thread_.join();
}

void PollerWarmer::Run() {
  pthread_setname_np(pthread_self(), "kv-warmer");
  for (;;) {
    const auto next = std::chrono::steady_clock::now() + kInterval;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && wake_.WaitUntil(mutex_, next)) {
      }
      if (stopping_) {
        return;
      }
    }
    CallOnce();
  }
}

void PollerWarmer::CallOnce() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kInterval);
  const grpc::Slice empty;  // an empty HealthCheckRequest asks for ""
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  std::promise<void> finished;
  // Whatever the answer: the event is what counts.
  stub_.UnaryCall(&context, kHealthCheck, grpc::StubOptions(), &request, &response,
                  [&finished](const grpc::Status&) { finished.set_value(); });
  finished.get_future().wait();
}

}  // namespace kvorum::rpc

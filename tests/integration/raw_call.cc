#include "tests/integration/raw_call.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <iterator>
#include <vector>

#include "kvorum/v1/broker.pb.h"
#include "kvorum/v1/entry.pb.h"
#include "kvorum/v1/quorum.pb.h"
#include "kvorum/v1/raft.pb.h"
#include "kvorum/v1/stream.pb.h"
#include "kvorum/v1/topic.pb.h"
#include "server/base/check.h"

namespace kvorum::testing {
namespace {

namespace pb = google::protobuf;

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::string text;
  std::vector<grpc::Slice> slices;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return text;
}

const pb::MethodDescriptor& FindMethod(const std::string& method) {
  // Named, so that the linker keeps their files: the pool knows no others.
  const pb::Descriptor* const files[] = {
      v1::Entry::descriptor(),      v1::BrokerInfo::descriptor(), v1::ReplicaStatus::descriptor(),
      v1::ReplicaKey::descriptor(), v1::Hello::descriptor(),      v1::NewTopic::descriptor()};
  const size_t slash = method.find('/');
  const std::string name = fmt::format("{}.{}", method.substr(0, slash), method.substr(slash + 1));
  const auto* found = pb::DescriptorPool::generated_pool()->FindMethodByName(name);
  KVORUM_CHECK(found != nullptr, "no method {} in {} files", name, std::size(files));
  return *found;
}

std::unique_ptr<pb::Message> New(const pb::Descriptor* type) {
  return std::unique_ptr<pb::Message>(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

}  // namespace

RawAnswer Call(const std::shared_ptr<grpc::Channel>& channel, const RawCall& call) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + call.timeout);
  for (const auto& [key, value] : call.metadata) {
    context.AddMetadata(key, value);
  }
  const grpc::Slice slice(call.bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  RawAnswer answer;
  const auto reader =
      stub.PrepareUnaryCall(&context, fmt::format("/{}", call.method), request, &queue);
  reader->StartCall();
  reader->Finish(&response, &answer.status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (answer.status.ok()) {
    answer.bytes = ToString(response);
  }
  return answer;
}

std::shared_ptr<grpc::Channel> MakeRawChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 1 << 20);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<pb::Message> MakeRequest(const std::string& method) {
  return New(FindMethod(method).input_type());
}

std::unique_ptr<pb::Message> MakeResponse(const std::string& method) {
  return New(FindMethod(method).output_type());
}

std::string RequestFromText(const std::string& method, const std::string& text) {
  const std::unique_ptr<pb::Message> request = MakeRequest(method);
  KVORUM_CHECK(pb::TextFormat::ParseFromString(text, request.get()), "{}: {}", method,
               text.substr(0, 200));
  return request->SerializeAsString();
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  all.reserve(text.size() * static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

}  // namespace kvorum::testing

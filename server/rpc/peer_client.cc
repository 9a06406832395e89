#include "server/rpc/peer_client.h"

#include <grpc/support/time.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "server/base/log.h"
#include "server/rpc/peer_target.h"
#include "server/rpc/raft_codec.h"
#include "server/rpc/transport_options.h"

namespace kvorum::rpc {

// One request on its way. Kept alive by gRPC's callback; shared only so that it can be cancelled
// without holding the mutex.
struct PeerClient::Call {
  virtual ~Call() = default;

  NodeId to;
  raft::PeerAddress address;
  raft::CorrelationId id;
  grpc::ClientContext context;
};

namespace {

// A leader that leads has a majority's echoes within a round trip or two.
constexpr Duration kBarrierTimeout = std::chrono::seconds(1);

// Each method of RaftService: its types and its stub function.
struct VoteMethod {
  using Core = raft::VoteRequest;
  using Request = v1::VoteRequest;
  using Response = v1::VoteResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->Vote(std::forward<Args>(args)...);
  }
};
struct BeginQuorumEpochMethod {
  using Core = raft::BeginQuorumEpochRequest;
  using Request = v1::BeginQuorumEpochRequest;
  using Response = v1::BeginQuorumEpochResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->BeginQuorumEpoch(std::forward<Args>(args)...);
  }
};
struct EndQuorumEpochMethod {
  using Core = raft::EndQuorumEpochRequest;
  using Request = v1::EndQuorumEpochRequest;
  using Response = v1::EndQuorumEpochResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->EndQuorumEpoch(std::forward<Args>(args)...);
  }
};
struct FetchMethod {
  using Core = raft::FetchRequest;
  using Request = v1::FetchRequest;
  using Response = v1::FetchResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->Fetch(std::forward<Args>(args)...);
  }
};

struct FetchSnapshotMethod {
  using Core = raft::FetchSnapshotRequest;
  using Request = v1::FetchSnapshotRequest;
  using Response = v1::FetchSnapshotResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->FetchSnapshot(std::forward<Args>(args)...);
  }
};

struct UpdateVoterMethod {
  using Core = raft::UpdateVoterRequest;
  using Request = v1::UpdateRaftVoterRequest;
  using Response = v1::UpdateRaftVoterResponse;
  template <typename... Args>
  static void Invoke(v1::RaftService::Stub& stub, Args&&... args) {
    stub.async()->UpdateRaftVoter(std::forward<Args>(args)...);
  }
};

template <typename Core>
struct MethodOf;
template <>
struct MethodOf<raft::VoteRequest> {
  using Type = VoteMethod;
};
template <>
struct MethodOf<raft::BeginQuorumEpochRequest> {
  using Type = BeginQuorumEpochMethod;
};
template <>
struct MethodOf<raft::EndQuorumEpochRequest> {
  using Type = EndQuorumEpochMethod;
};
template <>
struct MethodOf<raft::FetchRequest> {
  using Type = FetchMethod;
};
template <>
struct MethodOf<raft::FetchSnapshotRequest> {
  using Type = FetchSnapshotMethod;
};
template <>
struct MethodOf<raft::UpdateVoterRequest> {
  using Type = UpdateVoterMethod;
};

}  // namespace

template <typename Method>
struct PeerClient::TypedCall : PeerClient::Call {
  typename Method::Request request;
  typename Method::Response response;
};

PeerClient::PeerClient(PeerResponses& responses) : responses_(responses) {}

PeerClient::~PeerClient() { Stop(); }

void PeerClient::Send(raft::SendRequest send) {
  std::visit(
      [&](const auto& request) {
        Start<typename MethodOf<std::decay_t<decltype(request)>>::Type>(request, send);
      },
      send.request);
}

template <typename Method>
void PeerClient::Start(const typename Method::Core& request, const raft::SendRequest& send) {
  const auto call = std::make_shared<TypedCall<Method>>();
  call->to = send.to.key.node_id;
  call->address = send.to.address;
  call->id = send.id;
  // A span, not a point in time: it does not move when somebody sets the wall clock.
  call->context.set_deadline(gpr_time_from_nanos(send.timeout.count(), GPR_TIMESPAN));
  Encode(request, call->request);

  std::shared_ptr<v1::RaftService::Stub> stub;
  CallPointer replaced;
  {
    MutexLock lock(mutex_);
    if (stopping_) {
      return;
    }
    Peer& peer = FindOrConnect(send.to);
    stub = peer.stub;
    replaced = std::exchange(peer.newest, call);
    calls_.insert(call);
  }
  if (replaced != nullptr) {
    replaced->context.TryCancel();  // nothing happens if it has finished
  }
  Method::Invoke(*stub, &call->context, &call->request, &call->response,
                 [this, call](const grpc::Status& status) {
                   absl::StatusOr<raft::RaftResponse> response;
                   if (status.ok()) {
                     if (auto decoded = Decode(call->response); decoded.ok()) {
                       response = *std::move(decoded);
                     } else {
                       response = decoded.status();
                     }
                   }
                   OnFinished(call, status, std::move(response));
                 });
}

struct PeerClient::BarrierCall : PeerClient::Call {
  v1::ReadBarrierRequest request;
  v1::ReadBarrierResponse response;
};

bool PeerClient::SendReadBarrier(const raft::Voter& leader, v1::ReadBarrierRequest request,
                                 BarrierDone done) {
  const auto call = std::make_shared<BarrierCall>();
  call->to = leader.key.node_id;
  call->request = std::move(request);
  call->context.set_deadline(gpr_time_from_nanos(kBarrierTimeout.count(), GPR_TIMESPAN));
  std::shared_ptr<v1::RaftService::Stub> stub;
  {
    MutexLock lock(mutex_);
    if (stopping_) {
      return false;
    }
    stub = FindOrConnect(leader).stub;
    calls_.insert(call);
  }
  stub->async()->ReadBarrier(
      &call->context, &call->request, &call->response,
      [this, call, done = std::move(done)](const grpc::Status& status) {
        if (status.ok()) {
          done(std::move(call->response));
        } else {
          // The reads behind it are told to try the leader themselves.
          done(absl::UnavailableError(absl::string_view(status.error_message())));
        }
        MutexLock lock(mutex_);
        calls_.erase(call);
        calls_changed_.NotifyAll();
      });
  return true;
}

PeerClient::Peer& PeerClient::FindOrConnect(const raft::Voter& voter) {
  Peer& peer = peers_[voter.key.node_id];
  if (peer.channel == nullptr || peer.address != voter.address) {
    peer.address = voter.address;
    peer.channel = grpc::CreateCustomChannel(
        PeerTarget(voter.address), grpc::InsecureChannelCredentials(), PeerChannelArguments());
    peer.stub = v1::RaftService::NewStub(peer.channel);
  }
  return peer;
}

void PeerClient::OnFinished(const CallPointer& call, const grpc::Status& status,
                            absl::StatusOr<raft::RaftResponse> response) {
  if (IsWanted(call)) {
    Report(call, status, std::move(response));
  }
  MutexLock lock(mutex_);
  calls_.erase(call);
  calls_changed_.NotifyAll();
}

bool PeerClient::IsWanted(const CallPointer& call) {
  MutexLock lock(mutex_);
  const auto peer = peers_.find(call->to);
  if (stopping_ || peer == peers_.end() || peer->second.newest != call) {
    return false;
  }
  peer->second.newest = nullptr;
  return true;
}

void PeerClient::Report(const CallPointer& call, const grpc::Status& status,
                        absl::StatusOr<raft::RaftResponse> response) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    probe_.Probe(call->address.host, call->address.port,
                 [this, call, why = status.error_message()](ProbeResult result) {
                   OnProbed(*call, result, why);
                 });
    return;
  }
  if (!status.ok()) {
    Fail(*call, raft::SendFailure::kOther, status.error_message());
    return;
  }
  if (!response.ok()) {
    Fail(*call, raft::SendFailure::kOther,
         fmt::format("malformed response: {}", response.status().ToString()));
    return;
  }
  NoteReachable(call->to, true, "");
  responses_.OnRaftResponse(call->to, call->id, *std::move(response));
}

void PeerClient::Fail(const Call& call, raft::SendFailure failure, const std::string& why) {
  NoteReachable(call.to, false, why);
  responses_.OnSendFailure(call.to, call.id, failure);
}

void PeerClient::OnProbed(const Call& call, ProbeResult result, const std::string& why) {
  if (result == ProbeResult::kConnected) {
    // Somebody listens again: do not sit out the rest of the channel's back-off.
    std::shared_ptr<grpc::Channel> channel;
    {
      MutexLock lock(mutex_);
      channel = peers_[call.to].channel;
    }
    grpc::experimental::ChannelResetConnectionBackoff(channel.get());
  }
  Fail(call,
       result == ProbeResult::kRefused ? raft::SendFailure::kRefused : raft::SendFailure::kOther,
       why);
}

void PeerClient::NoteReachable(NodeId peer, bool reachable, const std::string& why) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(peers_[peer].reachable, reachable) == reachable) {
      return;
    }
  }
  if (reachable) {
    LogInfo("rpc", "peer={} is reachable again", peer);
  } else {
    LogInfo("rpc", "peer={} does not answer: {}", peer, why);
  }
}

void PeerClient::Stop() {
  std::set<CallPointer> calls;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    calls = calls_;
  }
  for (const CallPointer& call : calls) {
    call->context.TryCancel();
  }
  {
    MutexLock lock(mutex_);
    while (!calls_.empty()) {
      calls_changed_.Wait(mutex_);
    }
  }
  probe_.Stop();
}

}  // namespace kvorum::rpc

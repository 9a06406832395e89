#!/usr/bin/python3
"""A broker in Python, from Kvorum's .proto files and Debian's packages alone: registers, heartbeats,
holds its session, follows the metadata across failovers and acknowledges what it has applied.

Needs python3-grpcio, python3-protobuf and protobuf-compiler; exits with 77 without them.
Usage: broker.py --id 7 --endpoints c1:7400,c2:7400,c3:7400 [--protos DIR] [--until KEY]
"""

import argparse
import importlib
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

try:
    import grpc
except ImportError as error:
    print(f"python3-grpcio is needed: {error}")
    sys.exit(77)

TIMEOUT_S = 3
HEARTBEAT_S = 0.5
RETRY_S = 0.2


def load_protos(folder):
    """Compiles the .proto files and returns their modules by name."""
    out = tempfile.mkdtemp(prefix="kvorum-protos-")
    files = [str(path) for path in pathlib.Path(folder, "kvorum/v1").glob("*.proto")]
    subprocess.run(["protoc", f"--proto_path={folder}", f"--python_out={out}", *files], check=True)
    sys.path.insert(0, out)
    return {name: importlib.import_module(f"kvorum.v1.{name}_pb2") for name in ("broker", "stream")}


class Broker:
    """Keeps a copy of the entries. `applied` is the exclusive end of what it has applied."""

    def __init__(self, broker_id, endpoints, protos):
        self.id, self.protos = broker_id, protos
        self.channels = itertools.cycle([grpc.insecure_channel(e) for e in endpoints])
        self.channel = next(self.channels)
        self.epoch, self.applied, self.fenced = -1, 0, True
        self.position, self.entries, self.incoming = None, {}, {}
        self.stopping = threading.Event()

    def call(self, method, request, response_type):
        """The active controller's answer: asks one controller after the other until it is found."""
        while True:
            try:
                return self.channel.unary_unary(
                    f"/kvorum.v1.BrokerService/{method}",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=response_type.FromString)(request, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE,
                                        grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                self.channel = next(self.channels)
                time.sleep(RETRY_S)

    def register(self):
        pb = self.protos["broker"]
        request = pb.RegisterBrokerRequest(broker_id=self.id, incarnation_id=os.urandom(16))
        request.endpoints.add(name="PLAINTEXT", host="localhost", port=9092)
        self.epoch = self.call("RegisterBroker", request, pb.RegisterBrokerResponse).broker_epoch

    def heartbeat(self, leaving=False):
        pb = self.protos["broker"]
        answer = self.call("Heartbeat", pb.HeartbeatRequest(
            broker_id=self.id, broker_epoch=self.epoch, applied_offset=self.applied,
            want_shutdown=leaving), pb.HeartbeatResponse)
        self.fenced = answer.is_fenced

    def acknowledge(self):
        pb = self.protos["broker"]
        self.call("AcknowledgeMetadata", pb.AcknowledgeMetadataRequest(
            broker_id=self.id, broker_epoch=self.epoch, applied_offset=self.applied),
            pb.AcknowledgeMetadataResponse)

    def heartbeats(self):
        while not self.stopping.wait(HEARTBEAT_S):
            self.heartbeat()

    def hold(self):
        """Keeps a call open while this process lives. The kernel ends it with the process, so that
        the next one with this id need not wait for the session to run out."""
        pb = self.protos["broker"]
        while not self.stopping.is_set():
            try:
                self.channel.unary_unary(
                    "/kvorum.v1.BrokerService/HoldSession",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=pb.HoldSessionResponse.FromString)(
                        pb.HoldSessionRequest(broker_id=self.id, broker_epoch=self.epoch))
            except grpc.RpcError:
                pass  # a controller that is gone or not the active one: the heartbeats find that
            self.stopping.wait(RETRY_S)

    def updates(self):
        """Every update, for ever: a stream that ends goes on with another controller, from where
        it was."""
        pb = self.protos["stream"]
        streams = itertools.cycle([next(self.channels) for _ in range(8)])
        while not self.stopping.is_set():
            request = pb.SubscribeRequest(subscriber_id=f"broker.py {self.id}", broker_id=self.id,
                                          broker_epoch=self.epoch, resume_from=self.position)
            try:
                for message in next(streams).unary_stream(
                        "/kvorum.v1.MetadataStreamService/Subscribe",
                        request_serializer=lambda message: message.SerializeToString(),
                        response_deserializer=pb.SubscribeResponse.FromString)(request):
                    yield from message.updates
            except grpc.RpcError as error:
                print(f"stream ended: {error.code().name}", flush=True)
                time.sleep(RETRY_S)

    def apply(self, record, entries):
        if record.HasField("entry"):
            entries[record.entry.key] = record.entry.value
        elif record.HasField("remove_entry"):
            entries.pop(record.remove_entry.key, None)

    def follow(self, until):
        parts = []
        for update in self.updates():
            kind = update.WhichOneof("update")
            if kind == "snapshot_chunk":
                for record in update.snapshot_chunk.records:
                    self.apply(record, self.incoming)
            elif kind == "snapshot_end":
                self.entries, self.incoming = self.incoming, {}
                self.applied_to(update.snapshot_end.position)
            elif kind == "commit":
                parts.extend(update.commit.records)
                if update.commit.part + 1 < update.commit.part_count:
                    continue  # a commit is applied whole
                for record in parts:
                    self.apply(record, self.entries)
                parts = []
                self.applied_to(update.commit.to)
            elif kind in ("hello", "reset"):
                parts, self.incoming = [], {}
            if until in self.entries:
                return

    def applied_to(self, position):
        assert self.position is None or position.offset >= self.position.offset, "it went back"
        self.position, self.applied = position, position.offset
        if self.fenced:
            self.heartbeat()
        self.acknowledge()
        print(f"applied {position.offset} epoch {position.epoch}: {len(self.entries)} entries",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description="A broker that follows Kvorum's metadata.")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--endpoints", default="localhost:7400")
    parser.add_argument("--protos", default=str(pathlib.Path(__file__).parents[2] / "protos"))
    parser.add_argument("--until", default="", help="leave when this key is there")
    args = parser.parse_args()
    broker = Broker(args.id, args.endpoints.split(","), load_protos(args.protos))
    broker.register()
    print(f"registered broker {args.id} with epoch {broker.epoch}", flush=True)
    beats = threading.Thread(target=broker.heartbeats, daemon=True)
    beats.start()
    threading.Thread(target=broker.hold, daemon=True).start()
    broker.follow(args.until)
    broker.stopping.set()
    beats.join()
    broker.heartbeat(leaving=True)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A client without a file of Kvorum's: it asks the server for its schema (gRPC server reflection),
builds the messages from the answer, and then lives the life of a broker and its operator.

Usage: foreign_client.py LEADER_ENDPOINT FOLLOWER_ENDPOINT
Exit code 77: Debian's python3-grpcio or python3-protobuf is missing.
"""

import os
import sys
import threading

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as error:
    print(f"python3-grpcio and python3-protobuf are needed: {error}")
    sys.exit(77)

TIMEOUT_S = 10
LIMIT_S = 40
Field = descriptor_pb2.FieldDescriptorProto


def make_file(name, package, messages):
    """A file of messages: {message: [(field, number, type or message name, repeated)]}."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for field_name, number, kind, repeated in fields:
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
    return file


# The two protocols that must be known to learn the rest, from their public definitions.
REFLECTION = make_file("reflection.proto", "grpc.reflection.v1alpha", {
    "ServerReflectionRequest": [("file_containing_symbol", 4, Field.TYPE_STRING, False),
                                ("list_services", 7, Field.TYPE_STRING, False)],
    "FileDescriptorResponse": [("file_descriptor_proto", 1, Field.TYPE_BYTES, True)],
    "ServiceResponse": [("name", 1, Field.TYPE_STRING, False)],
    "ListServiceResponse": [("service", 1, "ServiceResponse", True)],
    "ErrorResponse": [("error_code", 1, Field.TYPE_INT32, False),
                      ("error_message", 2, Field.TYPE_STRING, False)],
    "ServerReflectionResponse": [("file_descriptor_response", 4, "FileDescriptorResponse", False),
                                 ("list_services_response", 6, "ListServiceResponse", False),
                                 ("error_response", 7, "ErrorResponse", False)]})
HEALTH = make_file("health.proto", "grpc.health.v1", {
    "HealthCheckRequest": [("service", 1, Field.TYPE_STRING, False)],
    "HealthCheckResponse": [("status", 1, Field.TYPE_INT32, False)]})
SERVING = 1


class Schema:
    """Message classes by their full names."""

    def __init__(self, files=()):
        self.pool = descriptor_pool.DescriptorPool()
        for file in files:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def type(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def add_all(self, files):
        """Adds files in an order that has each behind what it imports."""
        waiting = {file.name: file for file in files}
        while waiting:
            ready = [f for f in waiting.values() if not set(f.dependency) & set(waiting)]
            assert ready, f"files that import each other: {sorted(waiting)}"
            for file in ready:
                self.pool.Add(file)
                del waiting[file.name]


class Client:
    """Any method of any service that the server has described."""

    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(endpoint)
        self.schema = Schema()
        self.health_schema = Schema([HEALTH])
        self.services = self.learn()

    def learn(self):
        schema = Schema([REFLECTION])
        request_type = schema.type("grpc.reflection.v1alpha.ServerReflectionRequest")
        response_type = schema.type("grpc.reflection.v1alpha.ServerReflectionResponse")
        call = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString)

        def ask(requests):
            answers = list(call(iter(requests), timeout=TIMEOUT_S))
            for answer in answers:
                assert not answer.error_response.error_code, answer.error_response
            return answers

        listed, = ask([request_type(list_services="*")])
        services = [service.name for service in listed.list_services_response.service]
        files = {}
        ours = [name for name in services if name.startswith("kvorum.")]
        for answer in ask([request_type(file_containing_symbol=name) for name in ours]):
            for data in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                files[file.name] = file
        self.schema.add_all(files.values())
        return services

    def method(self, name):
        service, method = name.split("/")
        descriptor = self.schema.pool.FindServiceByName(service).FindMethodByName(method)
        return (self.schema.factory.GetPrototype(descriptor.input_type),
                self.schema.factory.GetPrototype(descriptor.output_type))

    def call(self, name, **fields):
        request_type, response_type = self.method(name)
        return self.channel.unary_unary(
            "/" + name, request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString)(
                request_type(**fields), timeout=TIMEOUT_S)

    def stream(self, name, **fields):
        request_type, response_type = self.method(name)
        return self.channel.unary_stream(
            "/" + name, request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString)(
                request_type(**fields), timeout=LIMIT_S)

    def health(self, service):
        request_type = self.health_schema.type("grpc.health.v1.HealthCheckRequest")
        response_type = self.health_schema.type("grpc.health.v1.HealthCheckResponse")
        return self.channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString)(
                request_type(service=service), timeout=TIMEOUT_S).status


class Subscriber(threading.Thread):
    """Follows the stream of one node and remembers what it saw."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.changed = threading.Condition()
        self.topics, self.kinds, self.entries = set(), [], {}
        self.offset, self.problem = -1, ""
        self.stream = client.stream("kvorum.v1.MetadataStreamService/Subscribe",
                                    subscriber_id="foreign client")

    def run(self):
        try:
            for message in self.stream:
                with self.changed:
                    for update in message.updates:
                        self.take(update)
                    self.changed.notify_all()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.CANCELLED:
                with self.changed:
                    self.problem = str(error)
                    self.changed.notify_all()

    def take(self, update):
        kind = update.WhichOneof("update")
        self.kinds.append(kind)
        body = getattr(update, kind)
        if kind in ("snapshot_chunk", "commit"):
            for record in body.records:
                if record.HasField("topic"):
                    self.topics.add(record.topic.name)
                elif record.HasField("entry"):
                    self.entries[record.entry.key] = record.entry.value
        if kind == "commit":
            assert body.to.offset > self.offset
            setattr(self, "offset", body.to.offset)
        elif kind == "snapshot_end":
            self.offset = body.position.offset

    def await_that(self, condition):
        with self.changed:
            met = self.changed.wait_for(lambda: self.problem or condition(self), TIMEOUT_S)
            assert met and not self.problem, self.problem or self.kinds


def reason_of(error):
    """google.rpc.ErrorInfo's reason, from the status details; its fields are read by hand."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            return value
    return b""


def become_active(client, broker_id):
    epoch = client.call("kvorum.v1.BrokerService/RegisterBroker", broker_id=broker_id,
                        incarnation_id=os.urandom(16), rack="r1",
                        endpoints=[{"name": "PLAINTEXT", "host": "localhost", "port": 9092}]
                        ).broker_epoch
    applied = epoch + 1
    for _ in range(100):
        answer = client.call("kvorum.v1.BrokerService/Heartbeat", broker_id=broker_id,
                             broker_epoch=epoch, applied_offset=applied)
        if not answer.is_fenced:
            return epoch
        applied = answer.header.committed.offset
    raise AssertionError("still fenced after 100 heartbeats")


def check_services(client):
    for name in ("BrokerService", "TopicService", "EntryService", "QuorumService",
                 "MetadataStreamService"):
        assert f"kvorum.v1.{name}" in client.services, client.services
    assert "kvorum.v1.RaftService" not in client.services, "the controllers' own"


def check_health(client):
    for service in ("", "liveness", "readiness"):
        assert client.health(service) == SERVING, service
    try:
        client.health("no such service")
        raise AssertionError("health of a service that does not exist")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error


def check_refusals(leader, follower):
    try:
        leader.call("kvorum.v1.EntryService/Get", key="missing")
        raise AssertionError("a missing key was found")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        details = reason_of(error)
        assert b"google.rpc.ErrorInfo" in details and b"UNKNOWN_KEY" in details, details
    try:
        follower.call("kvorum.v1.EntryService/Put", key="k", value=b"v")
        raise AssertionError("a follower took a write")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        assert b"NOT_CONTROLLER" in reason_of(error)
        assert b"leader_endpoint" in reason_of(error)


def main():
    leader, follower = Client(sys.argv[1]), Client(sys.argv[2])
    check_services(leader)
    for client in (leader, follower):
        check_health(client)
    assert leader.health("leader") == SERVING

    epoch = become_active(leader, 5)
    subscribers = [Subscriber(client) for client in (leader, follower)]
    for subscriber in subscribers:
        subscriber.start()
        subscriber.await_that(lambda s: "snapshot_end" in s.kinds)
        assert subscriber.kinds[0] == "hello"

    created = leader.call("kvorum.v1.TopicService/CreateTopics",
                          topics=[{"name": "from-python", "partition_count": 3}])
    assert created.results[0].status.code == 0, created
    version = leader.call("kvorum.v1.EntryService/Put", key="greeting", value=b"hello").version
    entry = leader.call("kvorum.v1.EntryService/Get", key="greeting").entry
    assert (entry.value, entry.version) == (b"hello", version), entry
    for subscriber in subscribers:
        subscriber.await_that(lambda s: "from-python" in s.topics)
        subscriber.await_that(lambda s: s.entries.get("greeting") == b"hello")
        leader.call("kvorum.v1.BrokerService/AcknowledgeMetadata", broker_id=5,
                    broker_epoch=epoch, applied_offset=subscriber.offset)
        subscriber.stream.cancel()

    topic = leader.call("kvorum.v1.TopicService/GetTopic", topic={"name": "from-python"})
    assert len(topic.partitions) == 3 and topic.partitions[0].leader == 5, topic
    local = follower.call("kvorum.v1.QuorumService/DescribeQuorum")
    assert local.role == "follower" and len(local.voters) == 3, local
    check_refusals(leader, follower)
    print("a foreign client gets along")


if __name__ == "__main__":
    main()

#include "server/rpc/reflection_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "kvorum/v1/topic.pb.h"

namespace kvorum::rpc {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

std::vector<std::string> FileNames(const reflection::ServerReflectionResponse& response) {
  std::vector<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

class ReflectionServiceTest : public ::testing::Test {
 protected:
  ReflectionServiceTest() {
    // Generated descriptors are registered when their file is linked in.
    EXPECT_EQ(v1::CreateTopicsRequest::descriptor()->name(), "CreateTopicsRequest");
  }

  ReflectionService service_{{"kvorum.v1.TopicService", "grpc.health.v1.Health"}};
  reflection::ServerReflectionRequest request_;
};

TEST_F(ReflectionServiceTest, ListsTheServices) {
  request_.set_list_services("");
  const auto response = service_.Answer(request_);
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names, ElementsAre("kvorum.v1.TopicService", "grpc.health.v1.Health"));
}

TEST_F(ReflectionServiceTest, SendsTheFileOfASymbolWithEverythingItImports) {
  request_.set_file_containing_symbol("kvorum.v1.TopicService");
  const std::vector<std::string> names = FileNames(service_.Answer(request_));
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names[0], "kvorum/v1/topic.proto");
  EXPECT_THAT(names, Contains("kvorum/v1/common.proto"));
  EXPECT_THAT(names, Contains("google/protobuf/duration.proto"));
}

TEST_F(ReflectionServiceTest, FindsFilesByName) {
  request_.set_file_by_filename("kvorum/v1/common.proto");
  EXPECT_THAT(FileNames(service_.Answer(request_)), Contains("kvorum/v1/common.proto"));
}

TEST_F(ReflectionServiceTest, UnknownSymbolIsNotFound) {
  request_.set_file_containing_symbol("kvorum.v1.Nothing");
  EXPECT_EQ(service_.Answer(request_).error_response().error_code(),
            static_cast<int>(grpc::StatusCode::NOT_FOUND));
}

TEST_F(ReflectionServiceTest, QuestionWithoutAQuestionIsInvalid) {
  EXPECT_EQ(service_.Answer(request_).error_response().error_code(),
            static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
}

}  // namespace
}  // namespace kvorum::rpc

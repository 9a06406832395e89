#include "server/cmd/command_line.h"

int main(int argc, char** argv) { return kvorum::RunCommandLine(argc, argv); }

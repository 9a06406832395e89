#pragma once

// Every Execute and Query overload.
#include "server/metadata/brokers/brokers_commands.h"
#include "server/metadata/entries/entries_commands.h"
#include "server/metadata/topics/topics_commands.h"

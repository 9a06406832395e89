#pragma once

// Every Execute and Query overload.
#include "server/metadata/acls/acls_commands.h"
#include "server/metadata/brokers/brokers_commands.h"
#include "server/metadata/configs/configs_commands.h"
#include "server/metadata/credentials/credentials_commands.h"
#include "server/metadata/entries/entries_commands.h"
#include "server/metadata/features/features_commands.h"
#include "server/metadata/producer_ids/producer_ids_commands.h"
#include "server/metadata/quotas/quotas_commands.h"
#include "server/metadata/topics/topics_commands.h"
#include "server/metadata/transactions/transactions_commands.h"

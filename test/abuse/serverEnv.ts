import { defaultLimits } from "@logbrook/core/Limits"

/** What the server is given, program included. */
export const memoryBytesMax = 512 * 1024 * 1024

/** How a server is run within 512 MiB (docs/configuration.md), with the limits that it ships with. */
export const asShipped: Readonly<Record<string, string>> = {
  // Of a machine's memory V8 would take 128 MiB for its young generation alone.
  NODE_OPTIONS: "--max-old-space-size=192 --max-semi-space-size=8",
  // Else malloc keeps what is freed: it raises this by itself, from 128 KiB up to 32 MiB.
  MALLOC_MMAP_THRESHOLD_: "16384",
  // Which tests otherwise raise.
  LOGBROOK_LIMITS_CONNECTIONS_PER_ADDRESS_MAX: String(defaultLimits.connectionsPerAddressMax),
  LOGBROOK_LIMITS_NEW_CONNECTIONS_PER_SECOND_MAX: String(defaultLimits.newConnectionsPerSecondMax)
}

import type { Command, Option, Run } from "./commandLine.ts"
import { dataDirectory, json, kafka, mqtt, offline, timeout, tls, url } from "./options.ts"
import { recordOptions } from "./recordOptions.ts"

/** The flags of the server's own settings, in the order of their importance; the rest is for files and variables. */
const serverOptions: ReadonlyArray<Option> = [
  { name: "config", value: "FILE", help: "configuration file; else ./logbrook.yaml, else /etc/logbrook/logbrook.yaml" },
  { name: "data-dir", value: "DIR", help: "where the journal is (./data)" },
  { name: "host", value: "ADDRESS", help: "the address to listen on (127.0.0.1)" },
  {
    name: "mqtt-port",
    value: "PORT",
    help: "MQTT (1883); 0 takes any free port, none has no listener, here and below"
  },
  { name: "mqtt-ws-port", value: "PORT", help: "MQTT over WebSocket (8083)" },
  { name: "mqtt-ws-proxy-protocol", value: "BOOLEAN", help: "connections begin with PROXY headers (false)" },
  { name: "mqtt-ws-tls", value: "BOOLEAN", help: "WebSockets over TLS (false)" },
  { name: "mqtt-ws-origins", value: "ORIGINS", help: "web pages that may connect on loopback: any, or these (local)" },
  { name: "mqtt-proxy-protocol", value: "BOOLEAN", help: "connections begin with PROXY headers (false)" },
  { name: "mqtt-tls", value: "BOOLEAN", help: "MQTT over TLS (false)" },
  { name: "mqtt-keep-alive-s-max", value: "SECONDS", help: "the longest keep alive of MQTT 5 clients (0: any)" },
  { name: "mqtt-maximum-qos", value: "QOS", help: "the highest QoS that is taken (2)" },
  { name: "mqtt-retain-available", value: "BOOLEAN", help: "take retained messages (true)" },
  { name: "mqtt-response-prefix", value: "TOPIC", help: "under which clients that ask are told a topic for responses" },
  { name: "mqtt-server-reference", value: "HOST:PORT", help: "where MQTT 5 clients are sent when the server stops" },
  { name: "mqtt-redirect", value: "HOW", help: "send everybody there who connects: temporarily, permanently (no)" },
  { name: "mqtt-sys-interval-s", value: "SECONDS", help: "between two publications under $SYS (10); 0 for none" },
  { name: "kafka-port", value: "PORT", help: "Kafka (9092)" },
  { name: "kafka-proxy-protocol", value: "BOOLEAN", help: "connections begin with PROXY headers (false)" },
  { name: "kafka-tls", value: "BOOLEAN", help: "Kafka over TLS: security.protocol=SSL (false)" },
  { name: "kafka-advertised", value: "HOST:PORT", help: "what Kafka clients are told to connect to" },
  {
    name: "kafka-zstd-clients",
    value: "NAMES",
    help: "who gets settled records as zstd (apache-kafka-java,kgo); none for nobody"
  },
  { name: "kafka-auto-create-topics", value: "BOOLEAN", help: "create the topics that clients ask for (false)" },
  { name: "kafka-default-partitions", value: "N", help: "partitions of a topic that is created without a number (1)" },
  { name: "http-port", value: "PORT", help: "HTTP API, health, metrics (18083)" },
  { name: "http-proxy-protocol", value: "BOOLEAN", help: "connections begin with PROXY headers (false)" },
  { name: "http-tls", value: "BOOLEAN", help: "HTTPS (false)" },
  { name: "tls-cert", value: "FILE", help: "the server's certificate in PEM, with its chain" },
  { name: "tls-key", value: "FILE", help: "its private key" },
  { name: "tls-client-ca", value: "FILE", help: "the authorities of clients' certificates" },
  { name: "tls-client-certificates", value: "WHETHER", help: "off, optional or required (off)" },
  { name: "tls-principal", value: "NAME", help: "the name in a client's certificate: cn, dns, email or uri (cn)" },
  { name: "log-level", value: "LEVEL", help: "debug, info, warn, error or silent (info)" },
  { name: "journal-segment-bytes", value: "SIZE", help: "size at which the journal begins a new file (128MB)" },
  { name: "journal-pacing-ms", value: "DURATION", help: "how long a commit may wait for company (5ms)" },
  {
    name: "journal-settle",
    value: "BOOLEAN",
    help: "rewrite and compact closed files, in a process beside the server (true)"
  },
  { name: "journal-history-ms", value: "DURATION", help: "how long events are kept for looking into the past (7d)" },
  { name: "journal-history-bytes", value: "SIZE", help: "how much they may take beside the streams' data (16GiB)" },
  { name: "insecure-listen", value: undefined, help: "listen where others can reach, without authentication" }
]

const configText: Option = {
  name: "config",
  value: "NAME=VALUE",
  isMultiple: true,
  help: "a setting under Kafka's name"
}
const filter: Option = {
  name: "filter",
  value: "FILTER",
  isMultiple: true,
  help: "an MQTT topic filter; messages that match one are stored"
}
const retention: ReadonlyArray<Option> = [
  { name: "retention", value: "DURATION", help: "how long records are kept: 7d, 12h, unlimited" },
  { name: "retention-bytes", value: "SIZE", help: "bytes kept per partition: 10GiB, unlimited" }
]
const compact: Option = {
  name: "compact",
  value: undefined,
  help: "keep the newest record of each key, for ever unless a retention is given"
}
const qos: Option = { name: "qos", value: "QOS", help: "0, 1 or 2 (1)" }
const clientId: Option = { name: "client-id", value: "ID", help: "the client's id; else one that nobody else has" }
const load: ReadonlyArray<Option> = [
  { name: "duration", value: "DURATION", help: "how long (10s), 1h at most" },
  { name: "count", value: "N", help: "end after so many" },
  { name: "size", value: "SIZE", help: "bytes of each (100), 1MB at most" }
]
const yes: Option = { name: "yes", value: undefined, help: "do not ask" }
const time: ReadonlyArray<Option> = [
  { name: "utc", value: undefined, help: "times in UTC (so by default)" },
  { name: "local", value: undefined, help: "times of this machine's zone" }
]
const events: ReadonlyArray<Option> = [
  {
    name: "kind",
    value: "KIND",
    help: "only actors of this kind: catalog, partition, group, transaction, session, streamShare, client, retained, shard"
  },
  { name: "actor", value: "ACTOR", help: "only this actor: group/orders, partition/sensors/3" },
  { name: "type", value: "TYPE", help: "only events of this type: RebalanceStarted, RecordsAppended, StateHash" }
]

const lazily =
  <Module>(load: () => Promise<Module>, pick: (module: Module) => Run): Command["load"] =>
  async () =>
    pick(await load())

const tlsModule = () => import("./tls/dev.ts")
const streamsModule = () => import("./streams.ts")
const groupsModule = () => import("./groups.ts")
const transactionsModule = () => import("./transactions.ts")
const sessionsModule = () => import("./sessions.ts")
const streamSharesModule = () => import("./streamShares.ts")
const retainedModule = () => import("./retained.ts")
const journalModule = () => import("./journal.ts")
const backupModule = () => import("./backup.ts")
const configModule = () => import("./configCommands.ts")

const declared: ReadonlyArray<Command> = [
  {
    name: "serve",
    positionals: [],
    summary: "run the server",
    description: "Settings come from flags, LOGBROOK_* variables, a file, and defaults, in this order.",
    options: serverOptions,
    load: lazily(
      () => import("./serve.ts"),
      (module) => module.serve
    )
  },
  {
    name: "tls dev",
    positionals: [],
    summary: "make certificates for development: an authority, a server's and a client's",
    description:
      "What is there already is kept, so that another --client is of the same authority. Not for production: the authority's key lies beside them.",
    options: [
      { name: "dir", value: "DIR", help: "where the files go (./tls)" },
      {
        name: "host",
        value: "NAME",
        isMultiple: true,
        help: "another name or address of the server, beside localhost"
      },
      { name: "client", value: "NAME", help: "the client's name, and that of its files (dev)" },
      json
    ],
    examples: ["logbrook tls dev", "logbrook tls dev --host broker.example.org --client alice"],
    load: lazily(tlsModule, (module) => module.dev)
  },
  {
    name: "streams create",
    positionals: ["NAME"],
    summary: "create a stream",
    description: "With filters it is bound: written by MQTT. Without, it is free: an ordinary Kafka topic.",
    options: [
      filter,
      { name: "partitions", value: "N", help: "16 for a bound stream, 1 for a free one" },
      { name: "key", value: "EXPR", help: "clientid, topic, topic[N], user-property:NAME or none" },
      compact,
      ...retention,
      configText,
      url,
      json
    ],
    load: lazily(streamsModule, (module) => module.create)
  },
  {
    name: "streams list",
    positionals: [],
    summary: "list streams",
    options: [url, json],
    load: lazily(streamsModule, (module) => module.list)
  },
  {
    name: "streams describe",
    positionals: ["NAME"],
    summary: "a stream's settings and partitions",
    options: [url, json],
    load: lazily(streamsModule, (module) => module.describe)
  },
  {
    name: "streams alter",
    positionals: ["NAME"],
    summary: "change filters, partitions or settings",
    description: "The given filters replace all that were there.",
    options: [
      filter,
      { name: "partitions", value: "N", help: "how many there are from now on: more than before" },
      compact,
      ...retention,
      configText,
      { name: "reset", value: "NAME", isMultiple: true, help: "take a setting back to its default" },
      url,
      json
    ],
    load: lazily(streamsModule, (module) => module.alter)
  },
  {
    name: "streams delete",
    positionals: ["NAME"],
    summary: "delete a stream and its records",
    options: [yes, url, json],
    load: lazily(streamsModule, (module) => module.remove)
  },
  {
    name: "publish",
    positionals: ["TOPIC", "MESSAGE?"],
    summary: "publish messages over MQTT, to this server or any of MQTT 5",
    description:
      "Without MESSAGE each line of stdin is a message. It ends once the server has acknowledged all; with the exit code 0, " +
      "messages of QoS 1 and 2 to a bound stream are on disk.",
    options: [
      qos,
      { name: "retain", value: undefined, help: "the topic's retained message from now on; an empty one removes it" },
      { name: "whole", value: undefined, help: "all of stdin is one message" },
      { name: "count", value: "N", help: "publish MESSAGE so often (1)" },
      { name: "interval", value: "DURATION", help: "wait so long behind each message" },
      { name: "property", value: "NAME=VALUE", isMultiple: true, help: "a user property" },
      { name: "content-type", value: "TYPE", help: "what the payload is: application/json" },
      { name: "utf8", value: undefined, help: "say that the payload is UTF-8 text" },
      { name: "expiry", value: "DURATION", help: "how long it is worth delivering, in whole seconds" },
      { name: "response-topic", value: "TOPIC", help: "where a response is wanted" },
      { name: "correlation-data", value: "TEXT", help: "what a response is to have with it" },
      clientId,
      timeout,
      mqtt,
      json
    ],
    examples: [
      "logbrook publish sensors/d1/temp 21.5",
      "logbrook publish sensors/d1/state on --retain --property unit=celsius",
      "tail -f events.log | logbrook publish site/events --qos 2",
      "logbrook publish photos/1 --whole < photo.jpg"
    ],
    load: lazily(
      () => import("./publish.ts"),
      (module) => module.publish
    )
  },
  {
    name: "subscribe",
    positionals: ["FILTER..."],
    summary: "show messages over MQTT as they come, and what streams have",
    description:
      "A FILTER of '$stream/NAME' or '$stream/NAME/FILTER' reads a stream: its history from --from on, and then what comes. " +
      "It goes on until it is interrupted, unless an option ends it.",
    options: [
      qos,
      {
        name: "from",
        value: "START",
        help: "of a stream: earliest, latest, -24h, 2026-01-31T12:00:00Z, last:N, offset:P:N"
      },
      {
        name: "until",
        value: "END",
        help: "of a stream: now, a time or offset:P:N; ends with the last of what is there"
      },
      { name: "count", value: "N", help: "end after so many messages" },
      {
        name: "idle",
        value: "DURATION",
        help: "end when none has come for so long; with --until, 5s, and a failure amid a history"
      },
      { name: "no-retained", value: undefined, help: "leave out retained messages" },
      {
        name: "session",
        value: "DURATION",
        help: "keep the session so long behind the end, with what comes meanwhile"
      },
      { name: "reset", value: undefined, help: "read a stream anew that the session reads already" },
      { name: "wait", value: undefined, help: "the stream need not exist yet" },
      { name: "will-topic", value: "TOPIC", help: "where a message goes if this command is killed" },
      { name: "will-message", value: "TEXT", help: "that message" },
      clientId,
      ...recordOptions,
      timeout,
      mqtt
    ],
    examples: [
      "logbrook subscribe 'sensors/#'",
      "logbrook subscribe 'sensors/+/temp' --count 10 --json",
      "logbrook subscribe '$stream/sensors' --from -1h --until now",
      "logbrook subscribe '$stream/sensors/sensors/d1/#' --from earliest -f '%d %t %v\\n'",
      "logbrook subscribe 'jobs/#' --client-id worker-1 --session 7d --idle 30s"
    ],
    load: lazily(
      () => import("./subscribe.ts"),
      (module) => module.subscribe
    )
  },
  {
    name: "produce",
    positionals: ["STREAM", "VALUE?"],
    summary: "write records to a free stream, or to a topic of any Kafka server",
    description:
      "Without VALUE each line of stdin is a record. It ends once the server has acknowledged all; with the exit code 0, they are on disk. " +
      "A bound stream is written by MQTT: logbrook publish.",
    options: [
      { name: "key", value: "TEXT", help: "the key of all records; else they have none" },
      { name: "key-separator", value: "TEXT", help: "a line is a key, this, and the value" },
      { name: "header", value: "NAME=VALUE", isMultiple: true, help: "a header of all records" },
      { name: "partition", value: "N", help: "the partition; else that of the key, as Kafka chooses it, or any" },
      { name: "input", value: "FORM", help: "text, or json: a line is a document as consume --json prints it (text)" },
      { name: "whole", value: undefined, help: "all of stdin is one record" },
      { name: "tombstone", value: undefined, help: "a record of --key without a value: compaction takes the key away" },
      { name: "compression", value: "CODEC", help: "none, gzip, snappy, lz4 or zstd (none)" },
      timeout,
      kafka,
      json
    ],
    examples: [
      "logbrook produce orders '{\"id\":1}' --key customer-7",
      "logbrook produce orders --key-separator : < orders.txt",
      "logbrook consume orders --json | logbrook produce copy --input json",
      "logbrook produce profiles --key user-1 --tombstone"
    ],
    load: lazily(
      () => import("./produce.ts"),
      (module) => module.produce
    )
  },
  {
    name: "consume",
    positionals: ["STREAM..."],
    summary: "show records of streams, or of topics of any Kafka server",
    description:
      "What there is when it begins, partition by partition in order; --follow goes on with what comes, until it is interrupted. " +
      "Records of transactions that are open or were aborted are left out.",
    options: [
      {
        name: "from",
        value: "START",
        help: "earliest, latest, an offset, a time or -5m, in each partition (earliest)"
      },
      { name: "until", value: "END", help: "now, an offset or a time, which is not shown itself (now)" },
      { name: "follow", value: undefined, help: "and the records that come" },
      { name: "count", value: "N", help: "end after so many records" },
      { name: "partition", value: "N", isMultiple: true, help: "only these partitions" },
      {
        name: "group",
        value: "GROUP",
        help: "as a member of this group: from its offsets on, which move with what was shown"
      },
      ...recordOptions,
      timeout,
      kafka
    ],
    examples: [
      "logbrook consume orders",
      "logbrook consume orders --from -1h -f '%t %p %o %k %v\\n'",
      "logbrook consume sensors --follow --from latest --json",
      "logbrook consume orders --group audit --count 100"
    ],
    load: lazily(
      () => import("./consume.ts"),
      (module) => module.consume
    )
  },
  {
    name: "groups list",
    positionals: [],
    summary: "list consumer groups with their lag",
    description: "Of a data directory: with what each takes of memory, the largest first.",
    options: [url, offline, json],
    load: lazily(groupsModule, (module) => module.list)
  },
  {
    name: "groups describe",
    positionals: ["GROUP"],
    summary: "a group's members, offsets and lag",
    options: [url, json],
    load: lazily(groupsModule, (module) => module.describe)
  },
  {
    name: "groups delete",
    positionals: ["GROUP..."],
    summary: "delete groups without members, and their offsets",
    description: "With --data-dir while no server runs, such as when one no longer starts.",
    options: [
      {
        name: "pattern",
        value: undefined,
        help: "each GROUP is a pattern, in which * is any text: all groups that match"
      },
      yes,
      { name: "force", value: undefined, help: "with --data-dir: also groups that had members when the server ended" },
      url,
      { ...offline, help: "change a data directory instead of asking a server; none may run on it" },
      json
    ],
    load: lazily(groupsModule, (module) => module.remove)
  },
  {
    name: "groups reset",
    positionals: ["GROUP"],
    summary: "commit other offsets for a group without members",
    description:
      "It shows what would be, and asks. Offsets stay within what a partition has. Named streams need no offsets yet, nor the group to be there.",
    options: [
      { name: "to", value: "POINT", help: "earliest, latest, an offset, a time or -5m, in each partition" },
      { name: "by", value: "N", help: "so many records on, or back: --by=-100" },
      {
        name: "stream",
        value: "NAME[:P,…]",
        isMultiple: true,
        help: "only this stream, or these partitions of it; else all that the group has offsets of"
      },
      { name: "dry-run", value: undefined, help: "only show what would be" },
      yes,
      url,
      json
    ],
    examples: [
      "logbrook groups reset billing --to earliest --dry-run",
      "logbrook groups reset billing --stream orders:0,3 --to 2026-01-31T12:00:00Z",
      "logbrook groups reset billing --by=-100 --yes"
    ],
    load: lazily(
      () => import("./groupsReset.ts"),
      (module) => module.reset
    )
  },
  {
    name: "transactions list",
    positionals: [],
    summary: "list transactional ids with their producers and open transactions",
    options: [url, json],
    load: lazily(transactionsModule, (module) => module.list)
  },
  {
    name: "transactions describe",
    positionals: ["ID"],
    summary: "a transactional id's producer, and its transaction's partitions and groups",
    options: [url, json],
    load: lazily(transactionsModule, (module) => module.describe)
  },
  {
    name: "transactions abort",
    positionals: ["ID"],
    summary: "abort an open transaction and fence its producer",
    description: "Readers of committed records go on behind it. Its timeout would do the same.",
    options: [yes, url, json],
    load: lazily(transactionsModule, (module) => module.abort)
  },
  {
    name: "sessions list",
    positionals: [],
    summary: "list MQTT sessions, connected or not",
    options: [
      { name: "contains", value: "TEXT", help: "only client ids that have this text in them" },
      { name: "state", value: "STATE", help: "only those that are connected, or disconnected" },
      ...time,
      url,
      json
    ],
    load: lazily(sessionsModule, (module) => module.list)
  },
  {
    name: "sessions describe",
    positionals: ["CLIENT"],
    summary: "a session's connection, queue and subscriptions",
    options: [...time, url, json],
    load: lazily(sessionsModule, (module) => module.describe)
  },
  {
    name: "sessions kick",
    positionals: ["CLIENT"],
    summary: "end a client's connection",
    description:
      "With the will; MQTT 5 clients are told why (0x98). The session stays as long as it was to, unless --forget ends it.",
    options: [
      { name: "forget", value: undefined, help: "and end the session, with its subscriptions and queue" },
      yes,
      url,
      json
    ],
    load: lazily(sessionsModule, (module) => module.kick)
  },
  {
    name: "stream-shares list",
    positionals: [],
    summary: "list groups of MQTT clients that read a stream, with their lag",
    options: [...time, url, json],
    load: lazily(streamSharesModule, (module) => module.list)
  },
  {
    name: "stream-shares describe",
    positionals: ["FILTER"],
    summary: "a group's members, and its position and lag in each partition",
    description: "The group of $share/GROUP/$stream/NAME[/FILTER] is named by that filter as a whole.",
    options: [...time, url, json],
    examples: ["logbrook stream-shares describe '$share/workers/$stream/orders'"],
    load: lazily(streamSharesModule, (module) => module.describe)
  },
  {
    name: "stream-shares delete",
    positionals: ["FILTER"],
    summary: "forget the position of a group without members",
    description:
      "With the records that were read and that no member has. Its next member makes it anew, with its own options.",
    options: [yes, url, json],
    load: lazily(streamSharesModule, (module) => module.remove)
  },
  {
    name: "retained list",
    positionals: [],
    summary: "list retained messages",
    options: [
      {
        name: "filter",
        value: "FILTER",
        help: "only topics that this MQTT topic filter matches (#, none that begin with $)"
      },
      ...time,
      url,
      json
    ],
    load: lazily(retainedModule, (module) => module.list)
  },
  {
    name: "retained get",
    positionals: ["TOPIC"],
    summary: "a topic's retained message, with its properties and payload",
    description: "A payload that is no UTF-8 is shown as hexadecimal digits; with --json all payloads are base64.",
    options: [...time, url, json],
    load: lazily(retainedModule, (module) => module.get)
  },
  {
    name: "retained purge",
    positionals: ["FILTER"],
    summary: "remove the retained messages that an MQTT topic filter matches",
    description: "A thousand per request, each topic once. Records of streams stay.",
    options: [yes, url, json],
    load: lazily(retainedModule, (module) => module.purge)
  },
  {
    name: "topics tree",
    positionals: ["FILTER?"],
    summary: "topics by level: what is retained, which streams store it, what goes nowhere",
    description:
      "Those with a retained message, the hundred whose messages most often went nowhere since the start, and the filters of streams.",
    options: [{ name: "limit", value: "N", help: "so many topics at most (1000)" }, url, json],
    load: lazily(
      () => import("./topics.ts"),
      (module) => module.tree
    )
  },
  {
    name: "journal tail",
    positionals: [],
    summary: "the newest events",
    options: [
      { name: "lines", value: "N", help: "how many (20), 1000 at most" },
      { name: "from", value: "SEQ", help: "the first event to show, instead of the newest" },
      { name: "follow", value: undefined, help: "and those that come; of a server only" },
      ...events,
      ...time,
      url,
      offline,
      { ...json, help: "one JSON document per line" }
    ],
    load: lazily(journalModule, (module) => module.tail)
  },
  {
    name: "journal show",
    positionals: ["SEQ"],
    summary: "an event with its chain of causes",
    options: [...time, url, offline, json],
    load: lazily(journalModule, (module) => module.show)
  },
  {
    name: "journal state",
    positionals: ["ACTOR"],
    summary: "an actor as it was at any point",
    description: "ACTOR: group/orders, partition/sensors/3, session/CLIENT, catalog/0.",
    options: [
      {
        name: "at",
        value: "SEQ|TIME",
        help: "just after this event, or at this time (2026-01-31 12:00:00, 12:00 or -5m, in UTC); else now"
      },
      url,
      offline,
      json
    ],
    load: lazily(journalModule, (module) => module.state)
  },
  {
    name: "journal diff",
    positionals: ["ACTOR", "SEQ|TIME", "SEQ|TIME"],
    summary: "what changed between two points",
    options: [...time, url, offline, json],
    load: lazily(journalModule, (module) => module.diff)
  },
  {
    name: "journal verify",
    positionals: [],
    summary: "fold the whole journal again and compare all states",
    description: "Beside a running server too.",
    options: [dataDirectory, json],
    load: lazily(journalModule, (module) => module.verify)
  },
  {
    name: "journal replay",
    positionals: [],
    summary: "fold everything and count it",
    description: "Beside a running server too.",
    options: [dataDirectory, json],
    load: lazily(journalModule, (module) => module.replay)
  },
  {
    name: "bench mqtt",
    positionals: [],
    summary: "publish as fast as it goes, and say how fast that was",
    description:
      "To TOPIC/0, TOPIC/1 and so on, one topic for each publisher; what a stream is bound to is stored. Latency is from sending a message to its " +
      "acknowledgement, and to each subscriber. This client runs in one process and takes CPU itself: its share is told.",
    options: [
      { name: "publishers", value: "N", help: "connections that publish (10), 10,000 at most" },
      { name: "subscribers", value: "N", help: "connections that each get all (0)" },
      qos,
      {
        name: "inflight",
        value: "N",
        help: "messages of a publisher that wait for acknowledgement (100), 1,000 at most"
      },
      { name: "rate", value: "N", help: "messages a second in all; else as many as go" },
      ...load,
      { name: "topic", value: "TOPIC", help: "above the publishers' topics (bench)" },
      timeout,
      mqtt,
      json
    ],
    examples: [
      "logbrook bench mqtt --duration 5s",
      "logbrook bench mqtt --publishers 100 --rate 1000 --inflight 1",
      "logbrook bench mqtt --qos 0 --subscribers 20 --size 1KB"
    ],
    load: lazily(
      () => import("./benchMqtt.ts"),
      (module) => module.benchMqtt
    )
  },
  {
    name: "bench kafka",
    positionals: ["STREAM"],
    summary: "write records as fast as they are acknowledged, and say how fast that was",
    description:
      "The records stay in the stream, which has to be there: make one for it. Each producer waits for its request, with acks=all. " +
      "This client runs in one process and takes CPU itself: its share is told.",
    options: [
      { name: "producers", value: "N", help: "connections that write (4), 1,000 at most" },
      { name: "consumers", value: "N", help: "connections that each read all that is written (0)" },
      { name: "batch", value: "N", help: "records of a request (100)" },
      { name: "compression", value: "CODEC", help: "none, gzip, snappy, lz4 or zstd (none)" },
      ...load,
      timeout,
      kafka,
      json
    ],
    examples: [
      "logbrook streams create load --partitions 4 --retention 1h",
      "logbrook bench kafka load --duration 5s",
      "logbrook bench kafka load --consumers 2 --batch 1000 --size 1KB"
    ],
    load: lazily(
      () => import("./benchKafka.ts"),
      (module) => module.benchKafka
    )
  },
  {
    name: "backup",
    positionals: ["DIR|FILE.tar"],
    summary: "back up a data directory, while the server runs too",
    description:
      "Up to the last event that is there now; DIR keeps what it has of the last backup, FILE.tar is written anew. " +
      "Each copy is read again as a whole.",
    options: [dataDirectory, json],
    load: lazily(backupModule, (module) => module.backup)
  },
  {
    name: "restore",
    positionals: ["BACKUP"],
    summary: "make a data directory from a backup",
    options: [
      { name: "data-dir", value: "DIR", help: "what to make: an empty directory or a new one" },
      { name: "until", value: "SEQ|TIME", help: "leave out what came after this event or time" },
      json
    ],
    load: lazily(backupModule, (module) => module.restore)
  },
  {
    name: "doctor",
    positionals: [],
    summary: "check a data directory, and save what is whole",
    description: "Beside a running server too, but for --repair. Exit code 1: damage was found.",
    options: [
      dataDirectory,
      { name: "repair", value: undefined, help: "write what is whole into a new directory; the damaged one is kept" },
      { name: "into", value: "DIR", help: "that directory; else the damaged one's name with .repaired" },
      json
    ],
    load: lazily(
      () => import("./doctor.ts"),
      (module) => module.doctor
    )
  },
  {
    name: "clock trust",
    positionals: [],
    summary: "let retention go by the machine's clock, although it ran ahead",
    description: "Until then, or for limits.clockHoldMs, records expire as if the clock had not been set.",
    options: [url, json],
    load: lazily(
      () => import("./clock.ts"),
      (module) => module.trust
    )
  },
  {
    name: "config show",
    positionals: [],
    summary: "every setting with its value and origin",
    description: "Those that a server would have that is started here and now; with --url, those of a running one.",
    options: [...serverOptions, { ...url, help: "the running server whose settings to show" }, json],
    load: lazily(configModule, (module) => module.show)
  },
  {
    name: "config check",
    positionals: [],
    summary: "tell everything that is wrong with the configuration",
    options: [...serverOptions, json],
    load: lazily(configModule, (module) => module.check)
  }
]

const asksServer = ({ options }: Command): boolean => [url, mqtt, kafka].some((option) => options.includes(option))

/** Every command, in the order of the help. */
export const commands: ReadonlyArray<Command> = declared.map((command) =>
  asksServer(command) ? { ...command, options: [...command.options, ...tls] } : command
)

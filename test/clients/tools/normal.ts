/** What no two runs of a tool have in common: addresses, ids, times, sizes, rates. Each server's own text stands behind an exception's name. */
const masks: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b([\w.]+(?:Exception|Error)): .*/, "$1"],
  [/^(Error while executing \w+ command) : .*/, "$1"],
  [/TopicId: \S+/, "TopicId: ID"],
  [/^(Cluster ID: |ClusterId: +)\S+/, "$1ID"],
  [/\b127\.0\.0\.1 +\d+ +/, "127.0.0.1 PORT "],
  [/^(HighWatermark: +)\d+/, "$1N"],
  [/"endpoints": \[.*?\]/, '"endpoints": []'],
  // kafka-metadata-quorum: the end of the log, and two times.
  [/^(1 +\tA{22}\t)\d+ *\t0 *\t\d+ *\t\d+ */, "$1N\t0\tTIME\tTIME\t"],
  [/"logDir":".*?"|"log_dirs":\[".*?"\]/, '"logDir":"DIRECTORY"'],
  [/"size":\d+/g, '"size":N'],
  // Producer ids.
  [/^(\S+transactional-id\t1 +\t)\d+ */, "$1ID"],
  [/^(500 records sent), .*/, "$1"],
  [/^\d{4}-\d\d-\d\d \S+, .*, (\d+\.\d+, ){2}.*/, "MEASURED"],
  [/^(Avg latency|Percentiles): .*|^0\t\d+\.\d+$/, "MEASURED"],
  [/"avg_throughput":[\d.]+/, '"avg_throughput":N'],
  [/"timestamp":\d+/, '"timestamp":TIME'],
  // With eligible leader replicas Kafka sets it for the whole cluster.
  [/(\tConfigs: )min\.insync\.replicas=1,/, "$1"]
]

/**
 * Stack traces; what `Tools.java` throws for the end of its JVM, where a tool tells of it; the group of kafka-e2e-latency, of which nothing
 * is left once its topic is deleted: Kafka tells of it for minutes.
 */
const isLeftOut = (line: string): boolean =>
  line.trim() === "" || /^\s+at |^\s+\.\.\. \d+ more|\bexit \d$|^test-group-\d+/.test(line)

/** A tool's output without what is masked, its lines sorted: partitions and groups come in any order. */
export const normal = (output: string, brokers: string): string =>
  output
    .split("\n")
    .filter((line) => !isLeftOut(line))
    .map((line) =>
      masks
        .reduce((text, [what, mask]) => text.replace(what, mask), line.replaceAll(brokers, "BROKERS"))
        // Columns are as wide as what is in them.
        .replaceAll(/ {2,}/g, " ")
        .trimEnd()
    )
    .toSorted()
    .join("\n")

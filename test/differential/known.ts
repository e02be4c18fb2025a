/** Where this server answers otherwise than Apache Kafka, and why. */
export interface KnownDifference {
  readonly api: string
  /** Of the case's words. */
  readonly what: RegExp
  /** Of the field's path; "" where one side closes the connection. */
  readonly path: RegExp
  readonly reason: string
}

const any = /^/

export const knownDifferences: ReadonlyArray<KnownDifference> = [
  {
    api: "Produce",
    what: /^half a batch$/,
    path: /errorCode$/,
    reason: "A batch that ends before its length says so is a corrupt one (2); Kafka finds no batch in it (87)."
  },
  {
    api: "Produce",
    what: any,
    path: /errorMessage$/,
    reason: "A refusal says why; Kafka says nothing beside some of its codes."
  },
  {
    api: "Produce",
    what: /^times far ahead$|^(a gap|times far ahead|times long ago) to |: (a sequence to come|that is not transactional|that is neither)$/,
    path: /logStartOffset$/,
    reason: "A refused batch is answered without the log's start; Kafka tells it of some."
  },
  {
    api: "Produce",
    what: /^a batch again to usual$/,
    path: /logAppendTimeMs$/,
    reason:
      "Where records have their producer's times there is no time of append (-1); Kafka tells the newest of them of a batch that comes again."
  },
  {
    api: "DeleteTopics",
    what: /^no such topic$/,
    path: /errorMessage$/,
    reason: "The code says it all; Kafka repeats it in words."
  },
  {
    api: "FindCoordinator",
    what: /^(a group's|a transaction's|of an empty transactional id)$/,
    path: /^errorMessage$/,
    reason: "Without an error there is no message; Kafka's is NONE."
  },
  {
    api: "DescribeCluster",
    what: /^controllers$/,
    path: /^endpointType$/,
    reason: "The refusal repeats what was asked for; Kafka's has the field's default."
  },
  {
    api: "CreateTopics",
    what: /^a topic that can be$/,
    path: /configs$/,
    reason: "The settings that do something here are told, MQTT's among them; Kafka tells all of its own."
  },
  {
    api: "CreateTopics",
    what: /^a topic that can be$/,
    path: /topicId$/,
    reason: "Ids are made by chance, also when nothing is created."
  },
  {
    api: "Produce",
    what: /: the batch again$/,
    path: /logAppendTimeMs$/,
    reason:
      "The topic's times are the producer's; Kafka answers a batch that it has with that batch's time as if it were its own."
  },
  {
    api: "Produce",
    what: /, an epoch below 0: a batch$/,
    path: /errorCode$/,
    reason: "A batch with a producer id and a negative epoch is none (87), before anybody is asked about the producer."
  },
  {
    api: "Produce",
    what: /, no producer id: a batch$/,
    path: /errorCode|baseOffset|logStartOffset$/,
    reason:
      "A batch of a transaction has a producer, or no marker could end it; Kafka appends it, and shows it before the transaction ends."
  },
  {
    api: "DescribeTransactions",
    what: /./,
    path: /transactionStartTimeMs$/,
    reason: "A transaction that has ended has no start (-1); Kafka keeps that of the last one."
  },
  {
    api: "DescribeTransactions",
    what: /: (open without records|of much that was refused)$/,
    path: /topics$/,
    reason: "Offsets are kept by groups; in Kafka they are records of an internal topic, which is shown."
  },
  {
    api: "DescribeProducers",
    what: /^of no topic$/,
    path: /errorMessage$/,
    reason: "The code says it all; Kafka repeats it in words."
  },
  {
    api: "DescribeProducers",
    what: /^of (no partitions|a partition twice)$/,
    path: /topics$|partitions$/,
    reason:
      "A partition is answered once, and a topic with its partitions; Kafka answers all as often as they are named."
  },
  {
    api: "ListTransactions",
    what: /^open for (0|1|3600000) ms$/,
    path: /transactionStates$/,
    reason:
      "Only transactions that are open can be open for longer (KIP-994); Kafka lists those that have ended by their start, too."
  }
]

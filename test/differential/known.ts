import type { Case } from "./Case.ts"
import type { Difference } from "./compare.ts"
import type { Unanswered } from "./Side.ts"

/** Where this server answers otherwise than Apache Kafka, and why. */
export interface KnownDifference {
  readonly api: string
  /** Of the case's words. */
  readonly what: RegExp
  /** Of the field's path; "" where one side does not answer. */
  readonly path: RegExp
  /** What Kafka does where it does not answer. */
  readonly kafka?: Unanswered
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
    what: /^times far ahead$|^(a gap|times far ahead|times long ago) to |: (a sequence to come|that is not transactional|that is neither|a gap|another length|an epoch to come, not from 0|an epoch before)$/,
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
    what: /^no such topic$|: deleted again$/,
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
    what: /^a topic that can be$|^a life: made/,
    path: /configs\./,
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
    what: /: the batch again$|^idempotent: .*again$/,
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
    api: "IncrementalAlterConfigs",
    what: /^set retention\.bytes -2$/,
    path: /error(Code|Message)$/,
    reason: "Bytes are -1, which is no limit, or a number of them; Kafka takes any."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^set segment\.bytes (1|4|13|14)$/,
    path: /error(Code|Message)$/,
    reason:
      "Topics have no segments of their own, so that any size will do; Kafka 4 asks for a MiB, older ones for 14 bytes."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^delete no\.such\.setting null$/,
    path: /error(Code|Message)$/,
    reason: "A name that is none is told so when it is taken back, too; Kafka passes over it."
  },
  {
    api: "DescribeConfigs",
    what: /^settings by name$/,
    path: /(configSource|synonyms)$/,
    reason:
      "Kafka keeps its default of min.insync.replicas as a setting of the cluster (KIP-966); here it is a default like others."
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
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^delete\.retention\.ms= 5 $/,
    path: /error(Code|Message)$/,
    reason: "A value is written as it is told again; Kafka takes blanks around it."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^(max\.message\.bytes=0|retention\.bytes=-2)$/,
    path: /error(Code|Message)$/,
    reason: "A topic that could take no record is refused, and so is a number of bytes below -1; Kafka takes both."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^local\.retention\.ms=1000$/,
    path: /error(Code|Message)$/,
    reason: "What this server would have to ignore is refused: it has no tiers."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^segment\.bytes=1[34]$/,
    path: /error(Code|Message)$/,
    reason: "It does nothing here, so that there is no least size; Kafka has 1 MB."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /^of no such topic$/,
    path: /errorMessage$/,
    reason: "The code says it all; Kafka repeats it in words."
  },
  {
    api: "AlterConfigs",
    what: /^delete\.retention\.ms= 5 $/,
    path: /error(Code|Message)$/,
    reason: "A value is written as it is told again; Kafka takes blanks around it."
  },
  {
    api: "AlterConfigs",
    what: /^(max\.message\.bytes=0|retention\.bytes=-2)$/,
    path: /error(Code|Message)$/,
    reason: "A topic that could take no record is refused, and so is a number of bytes below -1; Kafka takes both."
  },
  {
    api: "AlterConfigs",
    what: /^local\.retention\.ms=1000$/,
    path: /error(Code|Message)$/,
    reason: "What this server would have to ignore is refused: it has no tiers."
  },
  {
    api: "AlterConfigs",
    what: /^segment\.bytes=1[34]$/,
    path: /error(Code|Message)$/,
    reason: "It does nothing here, so that there is no least size; Kafka has 1 MB."
  },
  {
    api: "AlterConfigs",
    what: /^of no such topic$/,
    path: /errorMessage$/,
    reason: "The code says it all; Kafka repeats it in words."
  },
  {
    api: "IncrementalAlterConfigs",
    what: /: an operation that is none$/,
    path: /error(Code|Message)$/,
    reason: "An operation that is none makes an invalid request (42); Kafka calls it an unknown error."
  },
  {
    api: "AlterConfigs",
    what: /^of a topic twice$/,
    path: /^$/,
    kafka: "no answer",
    reason: "Both are refused; Kafka 4.3.1 leaves the request without any answer."
  },
  {
    api: "DescribeConfigs",
    what: /this node|a group/,
    path: /configs/,
    reason:
      "This node tells its own settings, which are read-only, and groups have none of their own; Kafka tells all of its own."
  },
  {
    api: "DescribeConfigs",
    what: any,
    path: /configs\.(min\.insync\.replicas\.|mqtt\.headers)/,
    reason:
      "MQTT's setting is told as well; a new Kafka cluster sets min.insync.replicas for all of its nodes, where it is the default here."
  },
  {
    api: "ApiVersions",
    what: /^the versions$/,
    path: /apiKeys|Features$/,
    reason: "Each server lists what it has."
  },
  {
    api: "ApiVersions",
    what: /^of a client/,
    path: /apiKeys|Features|finalizedFeaturesEpoch$/,
    reason: "The refusal says what is served; Kafka's is empty."
  },
  {
    api: "ElectLeaders",
    what: /, of type (2|-1)$/,
    path: /errorMessage$|^errorCode$/,
    reason:
      "A kind of election that is none makes an invalid request (42), whatever it is for; Kafka says so of each partition."
  },
  {
    api: "ElectLeaders",
    what: /^all$/,
    path: /replicaElectionResults$/,
    reason: "Nothing is to be elected, and nothing is told; Kafka names its topics, each without partitions."
  },
  {
    api: "DescribeQuorum",
    what: any,
    path: /(leaderId|leaderEpoch|highWatermark|logEndOffset|errorMessage|name|nodes)$/,
    reason:
      "The journal is the log of the quorum, on the one listener; a partition that is none has no leader (-1, where Kafka leaves 0)."
  },
  {
    api: "DescribeTopicPartitions",
    what: /^(no such topic|a name that is none)$/,
    path: /topicAuthorizedOperations$/,
    reason: "What may be done to a topic that is not there is not told."
  },
  {
    api: "DescribeTopicPartitions",
    what: /^an empty name$/,
    path: /errorCode$/,
    reason: "An empty name is none (17), for which Kafka has an unknown error."
  },
  {
    api: "DescribeTopicPartitions",
    what: /^from a (topic|negative)/,
    path: /topics/,
    reason:
      "A cursor is a place in the order of names, whether its topic was asked for or not; Kafka refuses all topics then."
  },
  {
    api: "OffsetDelete",
    what: /^no partitions$/,
    path: /topics$/,
    reason: "A topic that is named is answered, also without partitions."
  },
  {
    api: "ListConfigResources",
    what: any,
    path: /configResources$/,
    reason: "Kafka's internal topics are not there, and no resources are listed for the logger."
  },
  {
    api: "DescribeGroups",
    what: /: (before it begins|when it has left)$/,
    path: /(groupState|errorCode|errorMessage|authorizedOperations|protocolType)$/,
    reason:
      "A group without members and offsets is gone, and a join that is refused makes none; Kafka keeps both as Empty for a while."
  },
  {
    api: "ListGroups",
    what: /: (before it begins|when it has left)$/,
    path: /^groups\.(members|instances) \d+$/,
    reason:
      "A group without members and offsets is gone, and a join that is refused makes none; Kafka keeps both as Empty for a while."
  },
  {
    api: "ListGroups",
    what: any,
    path: /^groups\.group of wrong( of version 2)? \d+$/,
    reason: "Offsets of transactions that were aborted leave no group; Kafka keeps it as Empty for a while."
  },
  {
    api: "DeleteGroups",
    what: /: (when it is empty|when it has left)$/,
    path: /errorCode$/,
    reason: "A group without members and offsets is gone already."
  },
  {
    api: "DescribeGroups",
    what: /: when (two have joined|b has left)$/,
    path: /memberAssignment$/,
    reason:
      "Assignments are told while a group is Stable; Kafka tells those of the generation before during a rebalance."
  },
  {
    api: "AddPartitionsToTxn",
    what: /: of none$/,
    path: /^$/,
    kafka: "no answer",
    reason: "Of no transactions there is nothing to answer; Kafka leaves the request without any answer."
  },
  {
    api: "WriteTxnMarkers",
    what: /: of an epoch before$/,
    path: /errorCode$/,
    reason: "A marker of an epoch below 0 is refused as one of a zombie (47); Kafka has an unknown error."
  },
  {
    api: "Produce",
    what: /^to nothing$/,
    path: /^responses$/,
    reason: "A topic that is named is answered, also without partitions."
  },
  {
    api: "Produce",
    what: /^without records$/,
    path: /^$/,
    kafka: "no answer",
    reason:
      "A partition without records is refused as one without a batch (87); Kafka leaves the request without any answer."
  },
  {
    api: "Fetch",
    what: /^a byte in all$/,
    path: /records$/,
    reason:
      "The partitions that are read first take turns, in a request without a session too; Kafka reads in the request's order."
  },
  {
    api: "Fetch",
    what: /^with an isolation level that is none$/,
    path: /^(errorCode|responses)/,
    reason: "A level that is none hides nothing, as level 0; Kafka has an unknown error."
  },
  {
    api: "OffsetCommit",
    what: /^no partitions$/,
    path: /^topics$/,
    reason: "A topic that is named is answered, also without partitions."
  }
]

export const knownFor = (
  { api, what }: Pick<Case, "api" | "what">,
  { path, kafka }: Pick<Difference, "path" | "kafka">
): KnownDifference | undefined =>
  knownDifferences.find((known) => {
    const isMeant = known.api === api.name && known.what.test(what) && known.path.test(path)
    return isMeant && (known.kafka === undefined || JSON.stringify(known.kafka) === kafka)
  })

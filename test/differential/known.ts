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
    what: /^times far ahead$/,
    path: /logStartOffset$/,
    reason: "A refused batch is answered without the log's start; Kafka tells it of those that it refuses for a record."
  },
  {
    api: "DeleteTopics",
    what: /^no such topic$/,
    path: /errorMessage$/,
    reason: "The code says it all; Kafka repeats it in words."
  },
  {
    api: "FindCoordinator",
    what: /^a group's$/,
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
  }
]

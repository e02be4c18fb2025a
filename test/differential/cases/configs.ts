import { DescribeConfigs } from "@logbrook/protocols/kafka/messages/32_DescribeConfigs"
import { AlterConfigs } from "@logbrook/protocols/kafka/messages/33_AlterConfigs"
import { IncrementalAlterConfigs } from "@logbrook/protocols/kafka/messages/44_IncrementalAlterConfigs"
import { type Case, every, type Family, versionsOf } from "../Case.ts"
import { nowhere } from "../fixtures.ts"

const topicType = 2
const brokerType = 4
const groupType = 32
const set = 0
const remove = 1
const append = 2
const subtract = 3
const settings = "settings"

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

const topic: Resource = { resourceType: topicType, resourceName: settings }

/** Values that a topic may have, or not. */
const values: ReadonlyArray<readonly [string, ReadonlyArray<string | null>]> = [
  ["cleanup.policy", ["delete", "compact", "compact,delete", "delete,compact", "", "shred", "COMPACT", null]],
  ["compression.type", ["producer", "GZIP", "rar", null]],
  ["delete.retention.ms", ["0", "1000", "-1", "soon", "1.5", " 5 ", "9223372036854775808"]],
  ["file.delete.delay.ms", ["0", "-1"]],
  ["flush.messages", ["1", "0", "-1"]],
  ["flush.ms", ["0", "-1"]],
  ["index.interval.bytes", ["0", "-1"]],
  ["local.retention.ms", ["-2", "-3", "1000"]],
  ["max.compaction.lag.ms", ["1", "0", "-1"]],
  ["max.message.bytes", ["1000", "0", "-1", "2147483648", ""]],
  ["message.timestamp.after.max.ms", ["0", "3600000", "-1"]],
  ["message.timestamp.before.max.ms", ["0", "3600000", "-1"]],
  ["message.timestamp.type", ["CreateTime", "LogAppendTime", "logappendtime", "Never", ""]],
  ["min.cleanable.dirty.ratio", ["0", "0.5", "1", "1.1", "-0.1", "half"]],
  ["min.compaction.lag.ms", ["0", "-1"]],
  ["min.insync.replicas", ["1", "0", "2"]],
  ["preallocate", ["true", "false", "TRUE", "yes", ""]],
  ["remote.storage.enable", ["true", "false"]],
  ["retention.bytes", ["-1", "0", "1000", "-2"]],
  ["retention.ms", ["-1", "0", "60000", "-2", "", null]],
  ["segment.bytes", ["1048576", "14", "13", "0"]],
  ["segment.index.bytes", ["4", "3"]],
  ["segment.jitter.ms", ["0", "-1"]],
  ["segment.ms", ["1", "0"]],
  ["unclean.leader.election.enable", ["true", "maybe"]],
  ["no.such.setting", ["1"]],
  ["", ["1"]]
]

const described = (resources: ReadonlyArray<Resource>, configurationKeys: ReadonlyArray<string> | null) => () => ({
  resources: resources.map((each) => ({ ...each, configurationKeys })),
  includeSynonyms: true
})

const describes = (): ReadonlyArray<Case> => {
  const resources: ReadonlyArray<readonly [string, Resource]> = [
    ["a topic", topic],
    ["no such topic", { ...topic, resourceName: nowhere }],
    ["a name that is none", { ...topic, resourceName: "a/b" }],
    ["a topic without a name", { ...topic, resourceName: "" }],
    ["this node", { resourceType: brokerType, resourceName: "1" }],
    ["another node", { resourceType: brokerType, resourceName: "77" }],
    ["a node that is none", { resourceType: brokerType, resourceName: "one" }],
    ["a group", { resourceType: groupType, resourceName: "a group" }],
    ["a group without a name", { resourceType: groupType, resourceName: "" }],
    ["a type that is none", { resourceType: 99, resourceName: "x" }]
  ]
  const keys: ReadonlyArray<readonly [string, ReadonlyArray<string> | null]> = [
    ["all", null],
    ["none", []],
    ["one", ["retention.ms"]],
    ["one that is none", ["no.such.setting"]],
    ["one twice", ["retention.ms", "retention.ms"]]
  ]
  return [
    ...resources.flatMap(([what, resource]) =>
      keys.flatMap(([which, names]) =>
        every(DescribeConfigs, [1, 4], `${which} of ${what}`, described([resource], names))
      )
    ),
    ...every(DescribeConfigs, [1, 4], "all of a topic, without synonyms", () => ({
      resources: [{ ...topic, configurationKeys: null }]
    })),
    ...every(DescribeConfigs, [1, 4], "nothing", described([], null)),
    ...every(DescribeConfigs, [1, 4], "one of a topic twice", described([topic, topic], ["retention.ms"]))
  ]
}

// --- What each setting takes ---

const oneSetting = (): ReadonlyArray<Case> =>
  values.flatMap(([name, all]) =>
    all.flatMap((value) => {
      const what = `${name}=${value ?? "null"}`
      const configs = [{ name, value }]
      return [
        ...every(IncrementalAlterConfigs, [0, 1], what, () => ({
          resources: [{ ...topic, configs: [{ name, value, configOperation: set }] }],
          validateOnly: true
        })),
        ...every(AlterConfigs, [0, 2], what, () => ({ resources: [{ ...topic, configs }], validateOnly: true }))
      ]
    })
  )

// --- A topic's settings, one change behind the other ---

type Change = readonly [name: string, configOperation: number, value: string | null]

const changes = (version: number): ReadonlyArray<Case> => {
  const name = `${settings}-${version}`
  const resource = { resourceType: topicType, resourceName: name }
  const steps: ReadonlyArray<readonly [string, ReadonlyArray<Change>]> = [
    ["one is set", [["retention.ms", set, "60000"]]],
    ["it is set to the same", [["retention.ms", set, "60000"]]],
    [
      "two are set",
      [
        ["retention.ms", set, "70000"],
        ["max.message.bytes", set, "5000"]
      ]
    ],
    ["one is removed", [["retention.ms", remove, null]]],
    ["it is removed again", [["retention.ms", remove, null]]],
    ["one is appended to", [["cleanup.policy", append, "compact"]]],
    ["the same is appended", [["cleanup.policy", append, "compact"]]],
    ["one is subtracted from", [["cleanup.policy", subtract, "delete"]]],
    ["one is subtracted that is not there", [["cleanup.policy", subtract, "delete"]]],
    ["one is appended to that is no list", [["retention.ms", append, "1"]]],
    ["one is subtracted from that is no list", [["retention.ms", subtract, "1"]]],
    ["an operation that is none", [["retention.ms", 9, "1"]]],
    [
      "a setting twice",
      [
        ["retention.ms", set, "1"],
        ["retention.ms", set, "2"]
      ]
    ],
    [
      "one that is good and one that is not",
      [
        ["retention.ms", set, "80000"],
        ["max.message.bytes", set, "many"]
      ]
    ],
    ["nothing", []]
  ]
  const look = (what: string) =>
    every(DescribeConfigs, [1, 4], `changed: ${what}`, described([resource], null), { isEventual: true })
  return steps.flatMap(([what, all]) => [
    ...every(IncrementalAlterConfigs, [version, version], `changed: ${what}`, () => ({
      resources: [
        { ...resource, configs: all.map(([key, configOperation, value]) => ({ name: key, configOperation, value })) }
      ],
      validateOnly: false
    })),
    ...look(what)
  ])
}

const wholes = (version: number): ReadonlyArray<Case> => {
  const name = `${settings}-whole-${version}`
  const resource = { resourceType: topicType, resourceName: name }
  const steps: ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, string | null]>]> = [
    [
      "two",
      [
        ["retention.ms", "60000"],
        ["cleanup.policy", "compact"]
      ]
    ],
    ["another, without them", [["max.message.bytes", "5000"]]],
    ["a wrong one", [["max.message.bytes", "many"]]],
    [
      "one twice",
      [
        ["retention.ms", "1"],
        ["retention.ms", "2"]
      ]
    ],
    ["nothing", []]
  ]
  return steps.flatMap(([what, all]) => [
    ...every(AlterConfigs, [version, version], `as a whole: ${what}`, () => ({
      resources: [{ ...resource, configs: all.map(([key, value]) => ({ name: key, value })) }],
      validateOnly: false
    })),
    ...every(DescribeConfigs, [1, 4], `as a whole: ${what}`, described([resource], null), { isEventual: true })
  ])
}

const others = (): ReadonlyArray<Case> => {
  const resources: ReadonlyArray<readonly [string, Resource]> = [
    ["no such topic", { ...topic, resourceName: nowhere }],
    ["a name that is none", { ...topic, resourceName: "a/b" }],
    ["a topic without a name", { ...topic, resourceName: "" }],
    ["another node", { resourceType: brokerType, resourceName: "77" }],
    ["a node that is none", { resourceType: brokerType, resourceName: "one" }],
    ["a type that is none", { resourceType: 99, resourceName: "x" }]
  ]
  const one = { name: "retention.ms", value: "60000" }
  return [
    ...resources.flatMap(([what, resource]) => [
      ...every(IncrementalAlterConfigs, [0, 1], `of ${what}`, () => ({
        resources: [{ ...resource, configs: [{ ...one, configOperation: set }] }],
        validateOnly: true
      })),
      ...every(AlterConfigs, [0, 2], `of ${what}`, () => ({
        resources: [{ ...resource, configs: [one] }],
        validateOnly: true
      }))
    ]),
    ...every(IncrementalAlterConfigs, [0, 1], "of a topic twice", () => ({
      resources: [topic, topic].map((each) => ({ ...each, configs: [{ ...one, configOperation: set }] })),
      validateOnly: true
    })),
    ...every(AlterConfigs, [2, 2], "of a topic twice", () => ({
      resources: [topic, topic].map((each) => ({ ...each, configs: [one] })),
      validateOnly: true
    })),
    ...every(IncrementalAlterConfigs, [0, 1], "of nothing", () => ({ resources: [], validateOnly: true })),
    ...every(AlterConfigs, [0, 2], "of nothing", () => ({ resources: [], validateOnly: true }))
  ]
}

export const configsFamily: Family = {
  name: "configs",
  topics: [
    { name: settings, partitions: 1, configs: [["retention.ms", "3600000"]] },
    ...versionsOf([0, 1]).map((version) => ({ name: `${settings}-${version}`, partitions: 1 })),
    ...versionsOf([0, 2]).map((version) => ({ name: `${settings}-whole-${version}`, partitions: 1 }))
  ],
  cases: () => [
    ...describes(),
    ...oneSetting(),
    ...versionsOf([0, 1]).flatMap(changes),
    ...versionsOf([0, 2]).flatMap(wholes),
    ...others()
  ]
}

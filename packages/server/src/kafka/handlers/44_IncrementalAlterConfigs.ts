import type { ListChange } from "@logbrook/actors/catalog/StreamConfig"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { IncrementalAlterConfigs } from "@logbrook/protocols/kafka/messages/44_IncrementalAlterConfigs"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import { alterNeeds, alterResources, settingTwice, type Changes } from "../alterResources.ts"
import { refused } from "../errors.ts"
import { handler } from "../Handler.ts"

// IncrementalAlterConfigs 0-1 (KIP-339): single settings of topics; lists by their entries. Left out: settings of nodes, loggers
// and groups (INVALID_CONFIG).

/** Kafka's numbers of what is done to a setting (AlterConfigOp.OpType). */
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

const changesOf = ({ configs }: RequestOf<typeof IncrementalAlterConfigs>["resources"][number]): Changes => {
  const twice = settingTwice(configs)
  if (twice !== undefined) return twice
  const config: Array<readonly [name: string, value: string | null]> = []
  const lists: Array<ListChange> = []
  for (const { name, configOperation, value } of configs) {
    if (configOperation === operations.delete) config.push([name, null])
    else if (value === null) {
      return refused(KafkaError.INVALID_REQUEST, `Null value not supported for : ${name.slice(0, 200)}`)
    } else if (configOperation === operations.set) config.push([name, value])
    else if (configOperation === operations.append) lists.push({ name, change: "append", entries: value })
    else if (configOperation === operations.subtract) lists.push({ name, change: "subtract", entries: value })
    else return refused(KafkaError.INVALID_REQUEST, `Unknown operation type ${configOperation}`)
  }
  return { config, lists }
}

export const incrementalAlterConfigsHandler = handler(IncrementalAlterConfigs, {
  serves: [0, 1],
  needs: alterNeeds,
  handle: (context, request) => alterResources(context, request, changesOf)
})

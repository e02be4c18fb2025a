import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { AlterConfigs } from "@logbrook/protocols/kafka/messages/33_AlterConfigs"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import { alterNeeds, alterResources, settingTwice, type Changes } from "../alterResources.ts"
import { refused } from "../errors.ts"
import { handler } from "../Handler.ts"

// AlterConfigs 0-2: the settings of topics as a whole, so what is left out goes back to its default. Left out: settings of nodes,
// loggers and groups (INVALID_CONFIG).

const changesOf = ({ configs }: RequestOf<typeof AlterConfigs>["resources"][number]): Changes => {
  const twice = settingTwice(configs)
  if (twice !== undefined) return twice
  const empty = configs.find(({ value }) => value === null)
  if (empty !== undefined) {
    return refused(KafkaError.INVALID_REQUEST, `Null value not supported for : ${empty.name.slice(0, 200)}`)
  }
  return { config: configs.map(({ name, value }) => [name, value] as const), isWholeConfig: true }
}

export const alterConfigsHandler = handler(AlterConfigs, {
  serves: [0, 2],
  needs: alterNeeds,
  handle: (context, request) => alterResources(context, request, changesOf)
})

import { readdirSync } from "node:fs"
import { join } from "node:path"
import type { AnyApi } from "../../src/kafka/Schema.ts"

const folder = join(import.meta.dirname, "../../src/kafka/messages")

const declaredIn = async (file: string): Promise<AnyApi> => {
  const declared = (await import(join(folder, file))) as Record<string, AnyApi>
  return declared[/^\d+_(\w+)\.ts$/.exec(file)![1]!]!
}

/** All declared APIs by key: a file each. */
export const apis: ReadonlyMap<number, AnyApi> = new Map(
  (await Promise.all(readdirSync(folder).map(declaredIn))).sort((a, b) => a.key - b.key).map((api) => [api.key, api])
)

import * as fs from "node:fs"
import * as path from "node:path"
import { lockState } from "./lock.ts"
import { namesIn } from "./segmentFiles.ts"

/** The name of a directory of pins begins so; six characters that tell it from others follow. */
export const pinsPrefix = "pins-"

const pattern = /^pins-[^.]{6}$/

/** Whether it is a directory of hard links with which a backup keeps segments: see `backup/Pins.ts`. */
export const isPins = (name: string): boolean => pattern.test(name)

/** Those of backups that have ended without letting go: they keep room that nobody uses. */
export const removeStalePins = (dataDir: string): void => {
  for (const name of namesIn(dataDir).filter(isPins)) {
    const directory = path.join(dataDir, name)
    if (lockState(directory).state !== "held") fs.rmSync(directory, { recursive: true, force: true })
  }
}

import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"

/** The names in each directory as they were at its last sync: a power cut may forget all later ones. */
export interface SyncedNames {
  readonly of: (directory: string) => ReadonlyArray<string>
  /** Ends the watch. */
  readonly restore: () => void
}

/** Watches `fsyncSync`, of Linux only. */
export const watchSyncs = (): SyncedNames => {
  const names = new Map<string, ReadonlyArray<string>>()
  const original = fs.fsyncSync
  fs.fsyncSync = (descriptor) => {
    const path = fs.readlinkSync(`/proc/self/fd/${descriptor}`)
    if (fs.fstatSync(descriptor).isDirectory()) names.set(path, fs.readdirSync(path))
    original(descriptor)
  }
  syncBuiltinESMExports()
  return {
    of: (directory) => names.get(fs.realpathSync(directory)) ?? [],
    restore: () => {
      fs.fsyncSync = original
      syncBuiltinESMExports()
    }
  }
}

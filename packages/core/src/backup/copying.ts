import { PageDamage } from "../journal/LmdbFile.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import type { Pause } from "./files.ts"

export interface CopyOptions {
  /** Commits that end behind this seq are not copied. */
  readonly endSeq: Seq
  readonly pause: Pause
  /** Records that cannot be read are left out, with what refers to them kept; else they end the copy with an error. */
  readonly salvage: boolean
}

/** Undefined for what damaged pages hold, when salvaging. */
export const guarded = <A>(salvage: boolean, read: () => A): A | undefined => {
  try {
    return read()
  } catch (error) {
    if (salvage && error instanceof PageDamage) return undefined
    throw error
  }
}

export const allAccepted = async (puts: ReadonlyArray<Promise<boolean>>): Promise<void> => {
  const accepted = await Promise.all(puts)
  if (accepted.includes(false)) throw new JournalError("Io", "LMDB refused a copied frame")
}

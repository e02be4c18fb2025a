import { JournalError } from "../journal/JournalError.ts"
import type { ActorId, AnyDefinition } from "./Definition.ts"
import { pack, stateHash, unpack } from "./pack.ts"

/** The version of states that were saved before there were versions, and of kinds whose shape never changed. */
export const firstStateVersion = 1

export const stateVersionOf = ({ stateVersion = firstStateVersion }: AnyDefinition): number => stateVersion

export const packState = (definition: AnyDefinition, state: unknown): Buffer => pack(definition.save(state))

/** Throws `JournalError` "UnknownFormat" for a version that the definition does not know yet. */
export const unpackState = (definition: AnyDefinition, id: ActorId, saved: Uint8Array, version: number): unknown => {
  const newest = stateVersionOf(definition)
  if (version > newest) {
    throw new JournalError("UnknownFormat", `the state of ${id} is of version ${version}, known up to ${newest}`)
  }
  const content = unpack(saved)
  const { upcastState } = definition
  return definition.load(id, version < newest && upcastState !== undefined ? upcastState(content, version) : content)
}

/** The hash of what the definition's `save` gives of the state. */
export const hashOfState = (definition: AnyDefinition, state: unknown): Buffer => stateHash(definition.save(state))

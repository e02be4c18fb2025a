/** Whom a statement binds. What binds both is tested of the server. */
export type Binds = "server" | "client" | "both"

export interface Statement {
  readonly binds: Binds
  /** What it asks for, in our words. */
  readonly text: string
  /** What the server makes of a statement that leaves a choice, or that has nothing to bind here. */
  readonly note: string
}

const statement =
  (binds: Binds) =>
  (text: string, note = ""): Statement => ({ binds, text, note })

export const server = statement("server")
export const client = statement("client")
export const both = statement("both")

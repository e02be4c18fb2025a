// The load process: does what its parent asks for, one call at a time.
import { calls } from "./calls.ts"

interface Call {
  readonly name: keyof typeof calls
  readonly options: never
}

process.on("message", ({ name, options }: Call) => {
  const called = async (): Promise<unknown> => calls[name](options)
  called().then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) })
  )
})
process.on("disconnect", () => process.exit(0))

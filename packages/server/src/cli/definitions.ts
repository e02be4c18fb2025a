import * as Effect from "effect/Effect"

/** The actors as this version knows them; loaded when they are needed. */
export const allDefinitions = Effect.promise(async () => {
  const [{ definitions }, { defaultLimits }] = await Promise.all([
    import("../Broker.ts"),
    import("@logbrook/core/Limits")
  ])
  return definitions(defaultLimits)
})

import type { ClientPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { Abandoner } from "./Abandoner.ts"
import { Churn } from "./Churn.ts"
import { committedReader } from "./CommittedReader.ts"
import { Member } from "./Member.ts"
import { Newcomers } from "./Newcomers.ts"
import { Producer } from "./Producer.ts"
import { Publisher } from "./Publisher.ts"
import { reader } from "./Reader.ts"
import { sharer } from "./Sharer.ts"
import { SimpleConsumer } from "./SimpleConsumer.ts"
import { Sleeper } from "./Sleeper.ts"
import { streamSharer } from "./StreamSharer.ts"
import { StreamSubscriber } from "./StreamSubscriber.ts"
import { Subscriber } from "./Subscriber.ts"
import { Transactor } from "./Transactor.ts"

export const makeClient = (world: World, plan: ClientPlan): Client => {
  switch (plan.kind) {
    case "publisher":
      return new Publisher(world, plan)
    case "sleeper":
      return new Sleeper(world, plan)
    case "subscriber":
      return new Subscriber(world, plan)
    case "streamSubscriber":
      return new StreamSubscriber(world, plan)
    case "sharer":
      return sharer(world, plan)
    case "streamSharer":
      return streamSharer(world, plan)
    case "producer":
      return new Producer(world, plan)
    case "member":
      return new Member(world, plan)
    case "reader":
      return reader(world, plan)
    case "transactor":
      return new Transactor(world, plan)
    case "committedReader":
      return committedReader(world, plan)
    case "churn":
      return new Churn(world, plan)
    case "abandoner":
      return new Abandoner(world, plan)
    case "newcomers":
      return new Newcomers(world, plan)
    case "simpleConsumer":
      return new SimpleConsumer(world, plan)
  }
}

import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { CreateAcls } from "@logbrook/protocols/kafka/messages/30_CreateAcls"
import { refused } from "../errors.ts"
import { handler } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// CreateAcls 1-3: there are no ACLs, and each is refused as by a Kafka broker without an authorizer.

const noAuthorizer = refused(KafkaError.SECURITY_DISABLED, "No Authorizer is configured.")

export const createAclsHandler = handler(CreateAcls, {
  serves: [1, 3],
  needs: { Cluster: ["Alter"] },
  handle: (context, { creations }) => {
    const { code, message } = context.deniedCluster("Alter") ?? noAuthorizer
    const [asked, violation] = bounded("CreateAcls", "ACLs", creations)
    return new Reply({ results: asked.map(() => ({ errorCode: code, errorMessage: message })) }, { violation })
  }
})

import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteAcls } from "@logbrook/protocols/kafka/messages/31_DeleteAcls"
import { refused } from "../errors.ts"
import { handler } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// DeleteAcls 1-3: there are no ACLs, and each filter is refused as by a Kafka broker without an authorizer.

const noAuthorizer = refused(KafkaError.SECURITY_DISABLED, "No Authorizer is configured.")

export const deleteAclsHandler = handler(DeleteAcls, {
  serves: [1, 3],
  needs: { Cluster: ["Alter"] },
  handle: (context, { filters }) => {
    const { code, message } = context.deniedCluster("Alter") ?? noAuthorizer
    const [asked, violation] = bounded("DeleteAcls", "filters", filters)
    const filterResults = asked.map(() => ({ errorCode: code, errorMessage: message, matchingAcls: [] }))
    return new Reply({ filterResults }, { violation })
  }
})

import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Arguments: brokers. Prints what a user is told who asks for transactions. */
public class InitTransactions {
  public static void main(String[] args) {
    Map<String, Object> config =
        Map.of("bootstrap.servers", args[0], "transactional.id", "payments", "max.block.ms", 20000);
    var serializer = new ByteArraySerializer();
    try (var producer = new KafkaProducer<>(config, serializer, serializer)) {
      producer.initTransactions();
      System.out.println("ready");
    } catch (KafkaException e) {
      System.out.println(e);
    }
  }
}

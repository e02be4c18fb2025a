import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Arguments: brokers, topic, compression. Input: lines of base64 key and value, "-" for null. Idempotent, as is the default. */
public class Produce {
  static byte[] bytesOf(String text) {
    return text.equals("-") ? null : Base64.getDecoder().decode(text);
  }

  public static void main(String[] args) throws Exception {
    Map<String, Object> config = Map.of(
        "bootstrap.servers", args[0],
        "compression.type", args[2],
        "enable.idempotence", true,
        "linger.ms", 20,
        "delivery.timeout.ms", 20000,
        "request.timeout.ms", 10000);
    var serializer = new ByteArraySerializer();
    try (var producer = new KafkaProducer<>(config, serializer, serializer)) {
      var input = new BufferedReader(new InputStreamReader(System.in));
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (String line; (line = input.readLine()) != null; ) {
        String[] parts = line.split(" ", -1);
        sent.add(producer.send(new ProducerRecord<>(args[1], bytesOf(parts[0]), bytesOf(parts[1]))));
      }
      for (Future<RecordMetadata> future : sent) future.get();
      System.out.println(sent.size() + " acknowledged");
    } catch (java.util.concurrent.ExecutionException e) {
      System.out.println(e.getCause());
      System.exit(1);
    }
  }
}

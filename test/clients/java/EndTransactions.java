import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

/** Arguments: brokers. Transactions step by step, as LineProgram.ts asks: see coordinatorKills.test.ts. */
public class EndTransactions {
  private static final Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
  private static String brokers;

  public static void main(String[] args) {
    brokers = args[0];
    System.out.println("ready");
    Scanner lines = new Scanner(System.in);
    while (lines.hasNextLine()) {
      String[] said = lines.nextLine().split(" ");
      Map<String, String> words = new HashMap<>();
      for (int i = 2; i < said.length; i++) words.put(said[i].split("=")[0], said[i].split("=")[1]);
      try {
        step(said[1], words);
        System.out.println(said[0] + " ok");
      } catch (Exception failure) {
        System.out.println(said[0] + " failed " + failure.getClass().getSimpleName());
      }
    }
  }

  private static void step(String verb, Map<String, String> words) throws Exception {
    String id = words.get("id");
    switch (verb) {
      case "init" -> {
        Map<String, Object> config = Map.of("bootstrap.servers", brokers, "transactional.id", id,
            "transaction.timeout.ms", Integer.parseInt(words.get("timeout")), "reconnect.backoff.max.ms", 200);
        var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        producers.put(id, producer);
        producer.initTransactions();
      }
      case "open" -> {
        var producer = producers.get(id);
        producer.beginTransaction();
        for (int partition = 0; partition < 2; partition++)
          producer.send(new ProducerRecord<>(words.get("to"), partition, null, id + " " + partition)).get();
        var offset = new OffsetAndMetadata(Long.parseLong(words.get("offset")));
        producer.sendOffsetsToTransaction(
            Map.of(new TopicPartition(words.get("from"), 0), offset), new ConsumerGroupMetadata(id));
      }
      case "end" -> end(producers.get(id), words.get("outcome").equals("commit"));
      case "close" -> producers.remove(id).close(Duration.ZERO);
      default -> throw new IllegalArgumentException(verb);
    }
  }

  /** What has timed out may be asked for again. */
  private static void end(KafkaProducer<String, String> producer, boolean isCommit) {
    while (true) {
      try {
        if (isCommit) producer.commitTransaction();
        else producer.abortTransaction();
        return;
      } catch (TimeoutException again) {
      }
    }
  }
}

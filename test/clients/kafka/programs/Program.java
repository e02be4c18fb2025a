import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Java's client: commands are read and answered, as ../scenarios.ts has them. Argument: the server's address. */
public class Program {
  static String brokers;
  static Admin admin;
  static final Map<String, Member> members = new HashMap<>();

  /** Reads in a thread of its own until it leaves. */
  static class Member extends Thread {
    final List<String> seen = Collections.synchronizedList(new ArrayList<>());
    final Map<String, String> words;
    volatile boolean isEnding = false;

    Member(Map<String, String> words) {
      this.words = words;
      setDaemon(true);
    }

    @Override
    public void run() {
      Map<String, Object> config = Map.of("bootstrap.servers", brokers, "group.id", words.get("group"), "auto.offset.reset", "earliest",
          "enable.auto.commit", false, "isolation.level", "read_committed", "metadata.max.age.ms", 1000, "heartbeat.interval.ms", 500);
      try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
        String pattern = words.get("pattern");
        if (pattern != null) consumer.subscribe(Pattern.compile(pattern));
        else consumer.subscribe(List.of(words.get("topic")));
        while (!isEnding) {
          var records = consumer.poll(Duration.ofMillis(100));
          for (var record : records) {
            String header = new String(record.headers().lastHeader("source").value());
            seen.add(record.key() + "/" + record.value() + "/" + header);
          }
          if (!records.isEmpty()) consumer.commitSync();
        }
      }
    }
  }

  static void send(KafkaProducer<String, String> producer, Map<String, String> words) throws Exception {
    List<java.util.concurrent.Future<?>> sent = new ArrayList<>();
    for (int i = 0; i < Integer.parseInt(words.get("count")); i++) {
      var record = new ProducerRecord<>(words.get("topic"), "k" + i, words.get("prefix") + i);
      record.headers().add("source", "matrix".getBytes());
      sent.add(producer.send(record));
    }
    for (var each : sent) each.get();
  }

  static KafkaProducer<String, String> producer(Map<String, Object> config) {
    Map<String, Object> all = new HashMap<>(config);
    all.put("bootstrap.servers", brokers);
    all.put("linger.ms", 50);
    return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
  }

  static void produce(Map<String, String> words) throws Exception {
    boolean isIdempotent = words.get("idempotent").equals("1");
    try (var producer = producer(Map.of("compression.type", words.get("codec"), "enable.idempotence", isIdempotent))) {
      send(producer, words);
    }
  }

  static void transact(Map<String, String> words) throws Exception {
    try (var producer = producer(Map.of("transactional.id", words.get("id")))) {
      producer.initTransactions();
      producer.beginTransaction();
      send(producer, words);
      if (words.get("end").equals("commit")) producer.commitTransaction();
      else producer.abortTransaction();
    }
  }

  static String answer(String verb, Map<String, String> words) throws Exception {
    String topic = words.get("topic");
    var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic == null ? "" : topic);
    switch (verb) {
      case "metadata":
        return " partitions=" + admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
      case "produce":
        produce(words);
        return "";
      case "transact":
        transact(words);
        return "";
      case "join":
        members.put(words.get("member"), new Member(words));
        members.get(words.get("member")).start();
        return "";
      case "seen":
        return " records=" + String.join(",", new ArrayList<>(members.get(words.get("member")).seen));
      case "leave":
        members.get(words.get("member")).isEnding = true;
        members.get(words.get("member")).join();
        return "";
      case "create":
        admin.createTopics(List.of(new NewTopic(topic, Integer.parseInt(words.get("partitions")), (short) 1))).all().get();
        return "";
      case "alter":
        var entry = new ConfigEntry(words.get("name"), words.get("value"));
        var op = new AlterConfigOp(entry, AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
        return "";
      case "describe":
        return " value=" + admin.describeConfigs(List.of(resource)).all().get().get(resource).get(words.get("name")).value();
      case "delete":
        admin.deleteTopics(List.of(topic)).all().get();
        return "";
      case "offset":
        var place = new TopicPartition(topic, 0);
        var spec = OffsetSpec.forTimestamp(Long.parseLong(words.get("time")));
        return " offset=" + admin.listOffsets(Map.of(place, spec)).all().get().get(place).offset();
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  public static void main(String[] args) throws Exception {
    brokers = args[0];
    admin = Admin.create(Map.of("bootstrap.servers", brokers));
    System.out.println("ready release=" + AppInfoParser.getVersion());
    var input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] said = line.split(" ");
      Map<String, String> words = new HashMap<>();
      for (int i = 2; i < said.length; i++) words.put(said[i].split("=", 2)[0], said[i].split("=", 2)[1]);
      try {
        System.out.println(said[0] + " ok" + answer(said[1], words));
      } catch (Exception failure) {
        System.out.println(said[0] + " failed " + failure);
      }
    }
  }
}

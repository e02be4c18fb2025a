import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * Arguments: brokers, from, copies, counts, directory of checkpoints, the second in Unix time that messages count from, and, to go on, the checkpoint to begin
 * with. A message is "room seconds": it is copied as it is, and counted in the ten seconds of its room. Both sinks are exactly-once, and their records have
 * the times of the events.
 */
public class CountWindows {
  public static void main(String[] args) throws Exception {
    String brokers = args[0];
    long firstSecond = Long.parseLong(args[5]);
    var config = new Configuration();
    config.setString("execution.checkpointing.dir", "file://" + args[4]);
    config.setString("execution.checkpointing.interval", "1s");
    config.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
    config.setString("restart-strategy.type", "none");
    if (args.length > 6) config.setString("execution.state-recovery.path", args[6]);
    var env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(1);

    var source = KafkaSource.<String>builder().setBootstrapServers(brokers).setTopics(args[1]).setGroupId("windows")
        .setStartingOffsets(OffsetsInitializer.earliest()).setValueOnlyDeserializer(new SimpleStringSchema()).build();
    // Rooms share partitions, and one may be far ahead of another.
    var times = WatermarkStrategy.<String>forBoundedOutOfOrderness(Duration.ofSeconds(1000))
        .withTimestampAssigner((message, ignored) -> 1000 * (firstSecond + Long.parseLong(message.split(" ")[1])));
    var messages = env.fromSource(source, times, "messages").uid("messages");
    messages.sinkTo(exactlyOnce(brokers, args[2])).uid("copies");
    messages.keyBy(message -> message.split(" ")[0], Types.STRING)
        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10))).process(new Count(firstSecond)).uid("windows")
        .sinkTo(exactlyOnce(brokers, args[3])).uid("counts");
    env.execute("windows");
  }

  /** Transactions may take an hour, which is the sink's default. */
  static KafkaSink<String> exactlyOnce(String brokers, String topic) {
    var records = KafkaRecordSerializationSchema.<String>builder().setTopic(topic)
        .setValueSerializationSchema(new SimpleStringSchema()).build();
    return KafkaSink.<String>builder().setBootstrapServers(brokers).setRecordSerializer(records)
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE).setTransactionalIdPrefix("flink-" + topic).build();
  }

  static class Count extends ProcessWindowFunction<String, String, String, TimeWindow> {
    private final long firstSecond;

    Count(long firstSecond) {
      this.firstSecond = firstSecond;
    }

    @Override
    public void process(String room, Context context, Iterable<String> messages, Collector<String> out) {
      long count = 0;
      for (var ignored : messages) count++;
      out.collect(room + " " + (context.window().getStart() / 1000 - firstSecond) + " " + count);
    }
  }
}

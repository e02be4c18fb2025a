import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Arguments: brokers, from, copies, counts, directory of checkpoints. Copies messages as they are, and counts them by their first word: each batch that has messages of
 * a room makes one record of its new count. Goes on where its checkpoints end, until it is ended.
 */
public class StreamRooms {
  public static void main(String[] args) throws Exception {
    String brokers = args[0];
    var spark = SparkSession.builder().master("local[2]").appName("rooms").config("spark.ui.enabled", false)
        .config("spark.sql.shuffle.partitions", 1).config("spark.driver.host", "127.0.0.1").getOrCreate();
    spark.sparkContext().setLogLevel("WARN");
    Dataset<Row> messages = spark.readStream().format("kafka").option("kafka.bootstrap.servers", brokers)
        .option("subscribe", args[1]).option("startingOffsets", "earliest").load();
    write(messages.selectExpr("key", "value"), "append", brokers, args[2], args[4] + "/copies");
    var counts = messages.selectExpr("split(CAST(value AS STRING), ' ')[0] AS key").groupBy("key").count();
    write(counts.selectExpr("key", "CAST(count AS STRING) AS value"), "update", brokers, args[3], args[4] + "/counts");
    spark.streams().awaitAnyTermination();
  }

  static void write(Dataset<Row> records, String mode, String brokers, String topic, String checkpoints)
      throws Exception {
    records.writeStream().outputMode(mode).format("kafka").option("kafka.bootstrap.servers", brokers)
        .option("topic", topic).option("checkpointLocation", checkpoints).trigger(Trigger.ProcessingTime(500)).start();
  }
}

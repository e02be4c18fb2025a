import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt3.Mqtt3AsyncClient;
import com.hivemq.client.mqtt.mqtt3.Mqtt3ClientBuilder;
import com.hivemq.client.mqtt.mqtt3.lifecycle.Mqtt3ClientConnectedContext;
import com.hivemq.client.mqtt.mqtt3.message.publish.Mqtt3Publish;
import java.util.concurrent.CompletableFuture;

/** MQTT 3.1.1. */
class Version3 implements Program.Connection {
  private final Program.Words words;
  private final Mqtt3AsyncClient client;

  Version3(Program.Words words) {
    this.words = words;
    Mqtt3ClientBuilder builder = Program.builder(words)
        .useMqttVersion3()
        .addConnectedListener(context -> {
          boolean session = ((Mqtt3ClientConnectedContext) context).getConnAck().isSessionPresent();
          Program.say("connected client=" + words.get("client") + " session=" + (session ? 1 : 0));
        });
    if (words.containsKey("willTopic")) {
      builder.willPublish()
          .topic(words.get("willTopic"))
          .payload(words.get("willPayload").getBytes())
          .qos(MqttQos.fromCode(words.number("willQos")))
          .applyWillPublish();
    }
    client = builder.buildAsync();
    client.publishes(MqttGlobalPublishFilter.ALL, this::received);
  }

  private void received(Mqtt3Publish publish) {
    Program.say("message client=" + words.get("client")
        + " topic=" + publish.getTopic()
        + " qos=" + publish.getQos().getCode()
        + " retain=" + (publish.isRetain() ? 1 : 0)
        + " payload=" + new String(publish.getPayloadAsBytes()));
  }

  @Override
  public CompletableFuture<?> connect() {
    return client.connectWith().cleanSession(words.isSet("clean")).send();
  }

  @Override
  public CompletableFuture<?> subscribe(Program.Words words) {
    return client.subscribeWith()
        .topicFilter(words.get("filter"))
        .qos(MqttQos.fromCode(words.number("qos")))
        .send();
  }

  @Override
  public CompletableFuture<?> publish(Program.Words words) {
    return client.publishWith()
        .topic(words.get("topic"))
        .payload(words.get("payload").getBytes())
        .qos(MqttQos.fromCode(words.number("qos")))
        .retain(words.isSet("retain"))
        .send();
  }

  @Override
  public CompletableFuture<?> disconnect() {
    return client.disconnect();
  }
}

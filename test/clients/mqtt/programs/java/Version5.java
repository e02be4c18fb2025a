import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.Mqtt5ClientBuilder;
import com.hivemq.client.mqtt.mqtt5.lifecycle.Mqtt5ClientConnectedContext;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5PublishResult;
import java.util.concurrent.CompletableFuture;

/** MQTT 5. */
class Version5 implements Program.Connection {
  private final Program.Words words;
  private final Mqtt5AsyncClient client;

  Version5(Program.Words words) {
    this.words = words;
    Mqtt5ClientBuilder builder = Program.builder(words)
        .useMqttVersion5()
        .addConnectedListener(context -> {
          boolean session = ((Mqtt5ClientConnectedContext) context).getConnAck().isSessionPresent();
          Program.say("connected client=" + words.get("client") + " session=" + (session ? 1 : 0));
        });
    if (words.containsKey("willTopic")) {
      builder.willPublish()
          .topic(words.get("willTopic"))
          .payload(words.get("willPayload").getBytes())
          .qos(MqttQos.fromCode(words.number("willQos")))
          .delayInterval(words.number("willDelay"))
          .applyWillPublish();
    }
    client = builder.buildAsync();
    client.publishes(MqttGlobalPublishFilter.ALL, this::received);
  }

  private void received(Mqtt5Publish publish) {
    StringBuilder told = new StringBuilder();
    publish.getResponseTopic().ifPresent(topic -> told.append(" response=").append(topic));
    publish.getCorrelationData().ifPresent(data -> told.append(" correlation=").append(Program.text(data)));
    Program.say("message client=" + words.get("client")
        + " topic=" + publish.getTopic()
        + " qos=" + publish.getQos().getCode()
        + " retain=" + (publish.isRetain() ? 1 : 0)
        + " payload=" + new String(publish.getPayloadAsBytes())
        + told);
  }

  @Override
  public CompletableFuture<?> connect() {
    return client.connectWith()
        .cleanStart(words.isSet("clean"))
        .sessionExpiryInterval(words.number("expiry"))
        .restrictions()
        .topicAliasMaximum(words.number("aliases"))
        .sendTopicAliasMaximum(words.isSet("byAlias") ? 5 : 0)
        .applyRestrictions()
        .send();
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
    var publish = client.publishWith()
        .topic(words.get("topic"))
        .payload(words.get("payload").getBytes())
        .qos(MqttQos.fromCode(words.number("qos")))
        .retain(words.isSet("retain"));
    if (words.containsKey("response")) {
      publish = publish.responseTopic(words.get("response")).correlationData(words.get("correlation").getBytes());
    }
    return publish.send().thenCompose(Version5::checked);
  }

  private static CompletableFuture<?> checked(Mqtt5PublishResult result) {
    return result.getError().<CompletableFuture<?>>map(CompletableFuture::failedFuture)
        .orElseGet(() -> CompletableFuture.completedFuture(result));
  }

  @Override
  public CompletableFuture<?> disconnect() {
    return client.disconnect();
  }
}

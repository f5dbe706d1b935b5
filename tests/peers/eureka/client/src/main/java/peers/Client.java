package peers;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;

/** A service that registers, finds others, and calls one of them. */
@SpringBootApplication
@RestController
public class Client {
    private final DiscoveryClient discovery;
    private final HttpClient http = HttpClient.newHttpClient();

    public Client(DiscoveryClient discovery) {
        this.discovery = discovery;
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Client.class, arguments);
    }

    @GetMapping("/found/{service}")
    public List<String> found(@PathVariable("service") String service) {
        return discovery.getInstances(service).stream().map(one -> one.getUri().toString()).toList();
    }

    @GetMapping("/call/{service}")
    public String call(@PathVariable("service") String service) throws Exception {
        ServiceInstance one = discovery.getInstances(service).get(0);
        HttpRequest request = HttpRequest.newBuilder(URI.create(one.getUri() + "/")).build();
        return http.send(request, HttpResponse.BodyHandlers.ofString()).body();
    }
}

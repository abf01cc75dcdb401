using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Scanners cannot fill the log with failed handshakes.</summary>
[TestFixture]
internal sealed class LogThrottleTests
{
    [Test]
    public void So_many_pass_in_a_period_and_the_rest_is_counted()
    {
        var clock = new Clock();
        var throttle = new LogThrottle(clock);
        for (int i = 0; i < LogThrottle.MaxMessages; i++)
        {
            Assert.That((throttle.TryPass(out int none), none), Is.EqualTo((true, 0)));
        }

        for (int i = 0; i < 5; i++)
        {
            clock.Now += LogThrottle.Period / 6;
            Assert.That(throttle.TryPass(out _), Is.False);
        }

        clock.Now += LogThrottle.Period / 6;
        Assert.That((throttle.TryPass(out int suppressed), suppressed), Is.EqualTo((true, 5)));
        Assert.That((throttle.TryPass(out suppressed), suppressed), Is.EqualTo((true, 0)));
        Assert.That(throttle.TakeSuppressed(), Is.Zero);
    }

    [Test]
    public void At_the_end_the_rest_is_told()
    {
        var throttle = new LogThrottle(new Clock());
        for (int i = 0; i < LogThrottle.MaxMessages + 3; i++)
        {
            throttle.TryPass(out _);
        }

        Assert.That((throttle.TakeSuppressed(), throttle.TakeSuppressed()), Is.EqualTo((3, 0)));
    }

    [Test]
    [Logs(5)]
    public async Task Failed_handshakes_are_told_with_the_address_ten_times_and_then_counted()
    {
        const int Scans = LogThrottle.MaxMessages + 7;
        using var certificates = new TestCertificates();
        RunningServer server = await TlsServers.StartAsync(TlsServers.Options(certificates));
        Scan(server.Port, Scans);
        await server.DisposeAsync();
        Check([.. server.Log.Entries.Where(entry => entry.Event.Id == 5).Select(entry => entry.Message)], Scans);

        string pem = certificates.Write("all.pem", TestCertificates.Pem(certificates.Server) + TestCertificates.KeyPem(certificates.Server));
        var log = new ConcurrentQueue<string>();
        var callbacks = new Callbacks
        {
            LogMessage = (_, message) =>
            {
                log.Enqueue(message);
                return 1;
            },
        };
        using (var callback = new TestServer(callbacks, ("listening_ports", "127.0.0.1:0s"), ("ssl_certificate", pem)))
        {
            Scan(callback.Port, Scans);
        }

        Check([.. log], Scans);
    }

    private static void Scan(int port, int times)
    {
        for (int i = 0; i < times; i++)
        {
            RawClient.Exchange(port, "GET / HTTP/1.0\r\n\r\n");
        }
    }

    private static void Check(List<string> messages, int scans)
    {
        string[] single = [.. messages.Where(message => message.Contains("sslize error", StringComparison.Ordinal))];
        Assert.That(single, Has.Length.EqualTo(LogThrottle.MaxMessages).And.All.EndsWith("(127.0.0.1)"), string.Join('\n', messages));
        Assert.That(messages.Except(single).Single(), Does.EndWith($"{scans - LogThrottle.MaxMessages} more TLS handshakes have failed since the last message."));
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.FromDays(1);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}

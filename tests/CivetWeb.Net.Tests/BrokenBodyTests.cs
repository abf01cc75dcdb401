using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Bodies that do not come whole, read by the callback API: 0 is the end and nothing else.</summary>
[TestFixture(false)]
[TestFixture(true)]
internal sealed class BrokenBodyTests(bool isTls)
{
    private const string Sized = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";
    private const string Chunked = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    private const string Next = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n";

    internal enum Ending
    {
        /// <summary>The client sends nothing more and waits.</summary>
        Stalls,

        /// <summary>The client ends its side.</summary>
        Ends,

        /// <summary>The client resets the connection.</summary>
        Resets,
    }

    [Test]
    public async Task A_body_that_stops_early_ends_with_a_failure([Values(Sized + "hello", Chunked + "5\r\nhello\r\n", Chunked + "A\r\nhello", Chunked + "5\r\nhello\r\n5", Chunked + "5\r\nhello\r\n0\r\n")] string sent, [Values] Ending ending)
    {
        (Task<string> reads, EitherServer server) = Serve("300");
        await using (server)
        {
            using StreamClient client = server.Connect();
            client.Send(sent);
            await Reading; // so that a reset does not take away what was sent before it
            switch (ending)
            {
                case Ending.Ends:
                    client.EndSending();
                    break;
                case Ending.Resets:
                    client.Reset();
                    break;
            }

            Assert.That(await reads.WaitAsync(TestServer.Patience), Is.EqualTo("hello -1 -1 -1"));
        }
    }

    [TestCase("5\r\nhello\r\nzz\r\n", "hello -1 -1 -1")]
    [TestCase("5\r\nhelloX\r\n0\r\n\r\n", "hello -1 -1 -1")]
    [TestCase("zz\r\nhello\r\n0\r\n\r\n", " -1 -1 -1")]
    [TestCase("-5\r\nhello\r\n0\r\n\r\n", " -1 -1 -1")]
    [TestCase("5\nhello\r\n0\r\n\r\n", " -1 -1 -1")]
    [TestCase("5;\0\r\nhello\r\n0\r\n\r\n", " -1 -1 -1")]
    [TestCase("5\r\nhello\r\n0\r\n\nX", "hello -1 -1 -1")]
    [TestCase("FFFFFFFFFFFFFFFF\r\nhello", " -1 -1 -1")]
    [TestCase("5\r\nhello\r\n0\r\n\r\n", "hello 0 0 0")]
    [TestCase("5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", "hello 0 0 0")]
    public async Task A_malformed_body_ends_with_a_failure_and_the_connection_with_it(string chunks, string expected)
    {
        (Task<string> reads, EitherServer server) = Serve("60000");
        await using (server)
        {
            using StreamClient client = server.Connect();
            client.Send(Chunked + chunks + Next);
            client.EndSending();
            Assert.That(await reads.WaitAsync(TestServer.Patience), Is.EqualTo(expected));
            string answers = client.ReadToEnd();
            bool isWhole = expected.EndsWith(" 0", StringComparison.Ordinal);
            Assert.That(answers.Split("HTTP/1.1 200 ").Length - 1, Is.EqualTo(isWhole ? 2 : 1));
            Assert.That(string.Join(' ', _asked), Is.EqualTo(isWhole ? "/ /next" : "/"));
        }
    }

    [TestCase("5\r\nhello\r\n0\r\n\r\n", true)]
    [TestCase("5\r\nhello\r\n0\r\na: b\r\nc: d\r\n\r\n", true)]
    [TestCase("5\r\nhello\r\nzz\r\n", false)]
    [TestCase("5\r\nhelloX\r\n0\r\n\r\n", false)]
    [TestCase("5\nhello\r\n0\r\n\r\n", false)]
    [TestCase("0\nX: y\r\n\r\n", false)]
    public async Task What_a_callback_leaves_unread_is_read_over_or_ends_the_connection(string chunks, bool goesOn)
    {
        foreach (int read in new[] { 0, 3 })
        {
            _asked.Clear();
            await using EitherServer server = EitherServer.Start(
                false,
                isTls,
                handler: connection =>
                {
                    _asked.Enqueue(Http.GetRequestInfo(connection).Uri);
                    Http.Read(connection, new byte[read]);
                    return Answer(connection);
                });
            using StreamClient client = server.Connect();
            client.Send(Chunked + chunks + Next);
            client.EndSending();
            string answers = client.ReadToEnd();
            Assert.That(answers.Split("HTTP/1.1 200 ").Length - 1, Is.EqualTo(goesOn ? 2 : 1));
            Assert.That(string.Join(' ', _asked), Is.EqualTo(goesOn ? "/ /next" : "/"));
        }
    }

    [Test]
    public async Task After_a_body_that_did_not_come_in_time_the_connection_ends()
    {
        (Task<string> reads, EitherServer server) = Serve("300");
        await using (server)
        {
            using StreamClient client = server.Connect();
            client.Send(Sized + "hello");
            Assert.That(client.ReadToEnd(), Does.StartWith("HTTP/1.1 200 ").And.EndsWith("\r\n\r\n"));
            Assert.That(await reads.WaitAsync(TestServer.Patience), Is.EqualTo("hello -1 -1 -1"));
        }
    }

    [Test]
    public async Task A_body_that_comes_in_pieces_fills_the_buffer()
    {
        (Task<string> reads, EitherServer server) = Serve("60000");
        await using (server)
        {
            using StreamClient client = server.Connect();
            client.Send(Sized);
            await Reading;
            foreach (char c in "helloworld")
            {
                client.Send(c.ToString());
            }

            Assert.That(await reads.WaitAsync(TestServer.Patience), Is.EqualTo("helloworld 0 0 0"));
            client.Send(Next);
            Assert.That(client.ReadResponse().Status, Is.EqualTo(200));
        }
    }

    private readonly ConcurrentQueue<string> _asked = new();
    private TaskCompletionSource _reading = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Task Reading => _reading.Task.WaitAsync(TestServer.Patience);

    /// <summary>Its callback reads ten bytes and then what Read says three times more; it answers as if all were well.</summary>
    private (Task<string> Reads, EitherServer Server) Serve(string timeout)
    {
        _asked.Clear();
        _reading = new(TaskCreationOptions.RunContinuationsAsynchronously);
        var done = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        EitherServer server = EitherServer.Start(
            false,
            isTls,
            [("request_timeout_ms", timeout)],
            connection =>
            {
                _asked.Enqueue(Http.GetRequestInfo(connection).Uri);
                byte[] buffer = new byte[10];
                _reading.TrySetResult();
                int n = Http.Read(connection, buffer);
                IEnumerable<int> more = Enumerable.Range(0, n < 0 ? 2 : 3).Select(_ => Http.Read(connection, buffer)).ToArray();
                done.TrySetResult(Encoding.ASCII.GetString(buffer, 0, Math.Max(n, 0)) + string.Concat((n < 0 ? more.Prepend(n) : more).Select(m => $" {m}")));
                return Answer(connection);
            });
        return (done.Task, server);
    }

    private static int Answer(Connection connection)
    {
        Http.Print(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        return 200;
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;
using StreamJsonRpc;

namespace CivetWeb.Net.Tests;

/// <summary>A library that takes any WebSocket, unchanged: JSON-RPC both ways.</summary>
public sealed class StreamJsonRpcTests
{
    [Test]
    public async Task Both_sides_call_each_other_over_a_WebSocket_of_the_server()
    {
        await using RunningServer server = await RunningServer.StartAsync(s => s.MapWebSocket("/rpc", async context =>
        {
            var target = new Calculator();
            using var rpc = new JsonRpc(new WebSocketMessageHandler(context.WebSocket), target);
            target.Client = rpc;
            rpc.StartListening();
            await rpc.Completion;
        }));

        using ClientWebSocket socket = await server.ConnectAsync("/rpc");
        var questions = new List<string>();
        using (var rpc = new JsonRpc(new WebSocketMessageHandler(socket)))
        {
            rpc.AddLocalRpcMethod("Ask", (string question) =>
            {
                lock (questions)
                {
                    questions.Add(question);
                }

                return 40;
            });
            rpc.StartListening();
            using var deadline = new CancellationTokenSource(TestServer.Patience);

            Assert.That(await rpc.InvokeWithCancellationAsync<int>("Add", [1, 2], deadline.Token), Is.EqualTo(3));
            Assert.That(await rpc.InvokeWithCancellationAsync<int>("AddAsked", ["how many?", 2], deadline.Token), Is.EqualTo(42), "it calls back in between");
            Assert.That(questions.Single(), Is.EqualTo("how many?"));

            int[] many = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => rpc.InvokeWithCancellationAsync<int>("Add", [i, i], deadline.Token)));
            Assert.That(many, Is.EqualTo(Enumerable.Range(0, 500).Select(i => 2 * i)));

            string large = new('x', 300_000);
            Assert.That(await rpc.InvokeWithCancellationAsync<string>("Echo", [large], deadline.Token), Is.EqualTo(large));

            RemoteInvocationException? failure = Assert.ThrowsAsync<RemoteInvocationException>(
                () => rpc.InvokeWithCancellationAsync("Fail", [], deadline.Token));
            Assert.That(failure!.Message, Does.Contain("on purpose"));
        }

        await Eventually.IsTrueAsync(() => server.Server.WebSocketCount == 0, "the WebSocket is over");
    }

    private sealed class Calculator
    {
        public JsonRpc? Client { get; set; }

        public int Add(int a, int b) => a + b;

        public async Task<int> AddAsked(string question, int b) => b + await Client!.InvokeAsync<int>("Ask", question);

        public string Echo(string text) => text;

        public void Fail() => throw new InvalidOperationException("on purpose");
    }
}

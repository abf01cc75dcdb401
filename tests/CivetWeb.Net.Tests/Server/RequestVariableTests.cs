using System.Linq;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>How a query and an encoded form are taken apart.</summary>
public sealed class RequestVariableTests
{
    [TestCase("a=1&b=2", "a:1|b:2")]
    [TestCase("a=b=c", "a:b=c")]
    [TestCase("token=Zm9v==", "token:Zm9v==")]
    [TestCase("=1", ":1")]
    [TestCase("a", "a:")]
    [TestCase("a=", "a:")]
    [TestCase("&&a=1&&b=2&", "a:1|b:2")]
    [TestCase("a=1&A=2&a=3", "a:1|A:2|a:3")]
    [TestCase("a+b=c%3Dd%26e", "a b:c=d&e")]
    public async Task Variables_have_their_names_values_and_order(string encoded, string expected)
    {
        await using RunningServer server = await RunningServer.StartAsync(server =>
        {
            server.MapGet("/", (request, response) => response.WriteText(Text(request.Query)));
            server.MapPost("/", async (request, response) => response.WriteText(Text(await request.ReadFormAsync())));
        });
        string answer = RawClient.Exchange(server.Port, $"GET /?{encoded} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Assert.That(answer, Does.EndWith($"\r\n\r\n{expected}"), "the query");
        using var form = new StringContent(encoded, Encoding.UTF8, "application/x-www-form-urlencoded");
        using HttpResponseMessage response = await server.Client.PostAsync(server.Uri(), form);
        Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(expected), "the form");
    }

    private static string Text(RequestVariableCollection variables) => string.Join('|', variables.Select(v => $"{v.Key}:{v.Value}"));
}
